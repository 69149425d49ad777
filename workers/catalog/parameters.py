"""The parameters of a model: what they are called, what they may be, and the sentences that refuse the rest."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class ParameterError(ValueError):
    """A parameter or a shape that the model cannot work with. The message is one sentence for the client."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a model, as the API, the pages and the client show it."""

    name: str
    type: type[int] | type[float] | type[bool] | type[str]
    default: int | float | bool | str
    help: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()


def clean(model: str, parameters: Sequence[Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` as exact Python values of each parameter's type, with the defaults filled in.

    A number that is whole may be given for an integer (JSON has one kind of number); a bool is not a number.

    Raises:
        ParameterError: an unknown name, a wrong type, a value out of its range.
    """
    known = {parameter.name for parameter in parameters}
    unknown = [str(name) for name in given if name not in known]
    if unknown:
        takes = "takes " + ", ".join(sorted(known)) if known else "takes no parameters"
        raise ParameterError(f"{model} has no parameter {unknown[0][:80]!r}: it {takes}.")
    return {p.name: _value(p, given[p.name]) if p.name in given else p.default for p in parameters}


def _value(parameter: Parameter, value: Any) -> int | float | bool | str:
    name = parameter.name
    if parameter.type is bool:
        if not isinstance(value, bool):
            raise ParameterError(f"{name} must be true or false.")
        return value
    if parameter.type is str:
        if not isinstance(value, str) or (parameter.choices and value not in parameter.choices):
            raise ParameterError(f"{name} must be one of {', '.join(parameter.choices)}.")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not _finite(value):
        raise ParameterError(f"{name} must be a number.")
    if parameter.type is int and value != int(value):
        raise ParameterError(f"{name} must be a whole number.")
    if parameter.minimum is not None and value < parameter.minimum:
        raise ParameterError(f"{name} must be at least {parameter.minimum:g}.")
    if parameter.maximum is not None and value > parameter.maximum:
        raise ParameterError(f"{name} must be at most {parameter.maximum:g}.")
    return int(value) if parameter.type is int else float(value)


def _finite(value: int | float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer too large for a float
        return False
