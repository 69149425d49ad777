"""JSON as RFC 8259 has it: no NaN, no Infinity, no key twice."""

import json
from typing import Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text} is too large a number")
    return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object names a key twice")
    return found


def loads(text: str | bytes) -> Any:
    """Parse JSON strictly.

    Raises:
        ValueError: with a reason that reads after "The body is not valid JSON:".
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


class StrictJSONParser(JSONParser):
    """REST framework's JSON parser with `loads` in the place of Python's lenient one."""

    def parse(self, stream, media_type=None, parser_context=None):
        try:
            return loads(stream.read())
        except ValueError as error:
            raise ParseError(f"The body is not valid JSON: {error}.") from None
