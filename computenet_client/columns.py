"""A column of a table, by name or by index."""

from collections.abc import Sequence

from computenet_client.errors import Refused

Column = str | int


def place(key: Column, names: Sequence[str]) -> int:
    """The index of the column that `key` names, or is the index of.

    Raises:
        Refused: there is none.
    """
    if isinstance(key, str) and key in names:
        return names.index(key)
    if isinstance(key, int) and not isinstance(key, bool) and -len(names) <= key < len(names):
        return key % len(names)
    known = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
    raise Refused(f"There is no column {key!r}; the columns are {known}.")
