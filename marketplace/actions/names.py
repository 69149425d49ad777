"""Names that people choose. They are labels: no path, queue, query or command is ever made of one."""

import re

from marketplace.domain.errors import Refused

RESERVED = {"treasury", "issuance"}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@-]{0,63}")


def check_name(name: object, *, what: str) -> str:
    """`name` if it can be one.

    Raises:
        Refused: it is not 1 to 64 letters, digits or ``_ . : @ -``, beginning with a letter or a digit.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise Refused(f"{what} must be 1 to 64 letters, digits or any of _ . : @ - and begin with a letter or a digit.")
    if name.lower() in RESERVED:
        raise Refused(f"{what} cannot be {name}, which is the network's own.")
    return name
