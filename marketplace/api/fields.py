"""Fields that take what JSON has, and nothing that merely looks like it: no "5" for 5, no true for 1."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from marketplace.domain.money import to_tokens

BIGGEST = 2**63 - 1  # that a database's integer holds


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


class Text(serializers.CharField):
    default_error_messages = {"invalid": "This must be a text."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Number(serializers.FloatField):
    default_error_messages = {"invalid": "This must be a number."}

    def to_internal_value(self, data: Any) -> float:
        if not is_number(data):
            self.fail("invalid")
        return float(data)


class WholeNumber(serializers.IntegerField):
    default_error_messages = {"invalid": "This must be a whole number."}

    def __init__(self, *, min_value: int = 0, max_value: int = BIGGEST, **kwargs: Any) -> None:
        super().__init__(min_value=min_value, max_value=max_value, **kwargs)

    def to_internal_value(self, data: Any) -> int:
        if not is_number(data) or data != int(data):
            self.fail("invalid")
        return int(data)


class Flag(serializers.BooleanField):
    default_error_messages = {"invalid": "This must be true or false."}

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid")
        return data


@extend_schema_field(OpenApiTypes.NUMBER)
class Tokens(serializers.Field):
    """An amount: in, the number as it came, for the action to judge; out, micro-tokens as a JSON number of tokens."""

    default_error_messages = {"invalid": "This must be a number of tokens."}

    def to_internal_value(self, data: Any) -> int | float:
        if not is_number(data):
            self.fail("invalid")
        return data

    def to_representation(self, value: int) -> int | float:
        return to_tokens(value)


@extend_schema_field(OpenApiTypes.NUMBER)
class UnixTime(serializers.Field):
    """A moment, out only, as seconds since 1970."""

    def to_representation(self, value: datetime) -> float:
        return value.timestamp()


@extend_schema_field({"oneOf": [{"type": "string"}, {"type": "integer", "minimum": 0}]})
class Column(serializers.Field):
    """A column, by name or by its index from 0."""

    default_error_messages = {"invalid": "This must be a column's name, or its index from 0."}

    def to_internal_value(self, data: Any) -> str | int:
        by_name = isinstance(data, str) and data
        by_index = isinstance(data, int) and not isinstance(data, bool) and 0 <= data <= BIGGEST
        if not by_name and not by_index:
            self.fail("invalid")
        return data

    def to_representation(self, value: str | int) -> str | int:
        return value


PARAMETER = {"oneOf": [{"type": "number"}, {"type": "boolean"}, {"type": "string"}]}


@extend_schema_field({"type": "object", "additionalProperties": PARAMETER})
class Parameters(serializers.Field):
    """A model's parameters by name, each a number, true or false, or a text; the catalogue judges the rest."""

    default_error_messages = {
        "invalid": "This must be an object of parameters by name.",
        "value": "{name} must be a number, true or false, or a text.",
    }

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, Mapping):
            self.fail("invalid")
        for name, value in data.items():
            if not isinstance(value, (int, float, str)):
                self.fail("value", name=name[:40])
        return dict(data)

    def to_representation(self, value: dict[str, Any]) -> dict[str, Any]:
        return value


@extend_schema_field({})
class AnyJSON(serializers.Field):
    """Whatever JSON holds; the action judges it."""

    def to_internal_value(self, data: Any) -> Any:
        return data

    def to_representation(self, value: Any) -> Any:
        return value
