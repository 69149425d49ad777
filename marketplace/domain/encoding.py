"""The one way in which the sealed log writes a value as bytes, so that everybody hashes the same."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

SALT_BYTES = 16
_PLAIN_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)
_EXACT = frozenset({str, int, bool, type(None)})


def canonical(value: Any) -> bytes:
    """`value` as JSON in ASCII: keys sorted, no spaces, whole numbers only.

    Raises:
        ValueError: there is a float in it, which has more than one spelling; `exact` says it as text.
        TypeError: it is none of dict (with text keys), list, str, int, bool and None.
    """
    _require_exact(value)
    return _PLAIN_JSON.encode(value).encode()


def exact(value: Any) -> Any:
    """The same with every float as a whole number where it is one, else as the shortest text that reads back the same.

    A database that keeps JSON may give 1.0 back as 1 and 1e22 as 10000000000000000000000; both make the same here.
    """
    if isinstance(value, float):
        return int(value) if value.is_integer() else repr(value)
    if isinstance(value, dict):
        return {str(name): exact(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [exact(each) for each in value]
    return value


def moment(at: datetime) -> str:
    """A time in UTC with its microseconds: 2026-01-31T12:00:00.000000Z."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def digest(salt: bytes, private: dict[str, Any]) -> str:
    """What stands in a leaf for `private`: SHA-256 of the salt and its canonical form, in hex.

    Without the salt it says nothing, not even to whoever guesses the words.
    """
    return hashlib.sha256(salt + canonical(private)).hexdigest()


def _require_exact(value: Any) -> None:
    if type(value) in _EXACT:
        return
    if isinstance(value, float):
        raise ValueError("a float has no place in a canonical encoding")
    if isinstance(value, dict):
        if any(type(name) is not str for name in value):
            raise TypeError("a name in a canonical encoding is text")
        for each in value.values():
            _require_exact(each)
    elif isinstance(value, list):
        for each in value:
            _require_exact(each)
    elif not (value is None or isinstance(value, str | int)):
        raise TypeError(f"a {type(value).__name__} has no canonical encoding")
