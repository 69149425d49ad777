"""JSON as RFC 8259 has it: UTF-8, no NaN, no Infinity, no key twice; and nothing that would trip what comes after."""

import json
from typing import Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser, JSONParser

MAX_DEPTH = 32
MAX_VALUES = 500_000  # in one body; larger data are for /datasets
MAX_DIGITS = 300  # of a whole number, so that it also fits a float


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:40]} is too large a number")
    return number


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number has more than {MAX_DIGITS} digits")
    return int(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object names a key twice")
    return found


def _check(document: Any, *, escapes: bool) -> None:
    """Refuse deep nesting, and text that neither a database nor an answer could hold.

    Only escapes can bring NUL or half a surrogate pair, so texts are looked at only where there are any.
    """
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += value.values()
                if escapes:
                    below += value
            elif isinstance(value, list):
                below += value
            elif escapes and isinstance(value, str) and ("\0" in value or not _encodable(value)):
                raise ValueError("a text holds a character that is none")
        level = below if escapes else [value for value in below if isinstance(value, (dict, list))]
        if not level:
            return
    raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def loads(document: bytes) -> Any:
    """Parse JSON strictly.

    Raises:
        ValueError: with a reason that reads after "The body is not valid JSON:".
    """
    try:
        text = document.decode()
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    # Counted before anything is made of them: a value costs up to a hundred times its bytes. (Commas inside a text
    # count too; nobody writes half a million of those.)
    if text.count(",") + text.count("[") + text.count("{") > MAX_VALUES:
        raise ValueError(f"it holds more than {MAX_VALUES:,} values; upload larger data to /datasets")
    try:
        found = json.loads(
            text, parse_constant=_refuse_constant, parse_float=_finite, parse_int=_whole, object_pairs_hook=_unique
        )
    except RecursionError:
        raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep") from None
    _check(found, escapes="\\u" in text)
    return found


class StrictJSONParser(JSONParser):
    """REST framework's JSON parser with `loads` in the place of Python's lenient one."""

    def parse(self, stream, media_type=None, parser_context=None):
        try:
            return loads(stream.read())
        except ValueError as error:
            raise ParseError(f"The body is not valid JSON: {error}.") from None


class StreamParser(BaseParser):
    """A body taken as it comes: `request.data` is a file to read."""

    media_type = "application/octet-stream"

    def parse(self, stream, media_type=None, parser_context=None):
        return stream
