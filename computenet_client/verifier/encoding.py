"""The log's canonical JSON, read strictly and written again."""

import hashlib
import json
from pathlib import Path
from typing import Any

MAX_LINE = 4 * 1024**2
MAX_DOCUMENT = 256 * 1024**2


class Bad(Exception):
    """What is checked does not hold; the message is a sentence."""


def canonical(value: Any) -> bytes:
    """JSON in ASCII, keys sorted, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def parse(text: bytes) -> dict[str, Any]:
    """An object without floats, read from UTF-8.

    Raises:
        Bad: it is none.
    """
    try:
        value = json.loads(text.decode(), parse_float=_refuse, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise Bad("This is not JSON of whole numbers and text.") from None
    if not isinstance(value, dict):
        raise Bad("This is not a JSON object.")
    return value


def read_document(path: Path) -> dict[str, Any]:
    """A file with one object.

    Raises:
        Bad: it cannot be read, is above 256 MiB, or is none.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_DOCUMENT + 1)
    except OSError as error:
        raise Bad(f"{path} cannot be read: {error.strerror}.") from None
    if len(text) > MAX_DOCUMENT:
        raise Bad(f"{path} is above {MAX_DOCUMENT // 1024**2} MiB.")
    try:
        return parse(text)
    except Bad as problem:
        raise Bad(f"{path}: {problem}") from None


def digest(salt: str, private: Any) -> str:
    """What stands in a leaf for `private`."""
    return hashlib.sha256(unhex(salt, 16) + canonical(private)).hexdigest()


def unhex(text: Any, size: int) -> bytes:
    """`size` bytes from their lower-case hexadecimal digits.

    Raises:
        Bad: they are not.
    """
    try:
        found = bytes.fromhex(text)
    except (TypeError, ValueError):
        found = b""
    if len(found) != size or found.hex() != text:
        raise Bad(f"{text!r:.80} is not {size} bytes in hexadecimal.")
    return found


def _refuse(text: str) -> Any:
    raise ValueError(text)
