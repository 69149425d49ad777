"""Queries whose SQL is made once a process: making it takes longer than asking, and some are asked by every request."""

from collections.abc import Callable
from copy import copy
from types import SimpleNamespace
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Model, QuerySet
from django.db.models.query import ModelIterable

Row = TypeVar("Row", bound=Model)

MARKS: dict[type, Callable[[int], Any]] = {  # values that no query has of its own, to be found among its parameters
    str: lambda place: f"\x02{place}\x03",
    int: lambda place: -(2**30) - place,
    float: lambda place: -(2.0**30) - place - 0.5,
}


class Compiled(Generic[Row]):
    """`build` makes a queryset of whole rows from values of these `types`; a call with such values answers its rows.

    What the queryset is made of must depend on the values as parameters alone.

    Raises:
        ValueError: at the first call, where a value is none of the statement's parameters.
    """

    def __init__(self, build: Callable[..., QuerySet[Row]], *types: type) -> None:
        self._build, self._types = build, types
        self._compiler: Any = None

    def __call__(self, *values: Any) -> list[Row]:
        if self._compiler is None:
            self._compile()
        compiler = copy(self._compiler)  # threads share all of it but these two
        compiler.connection = connections[DEFAULT_DB_ALIAS]
        params = tuple(given if place is None else type(given)(values[place]) for given, place in self._params)
        compiler.as_sql = lambda: (self._sql, params)
        query = SimpleNamespace(get_compiler=lambda using: compiler)
        asked: Any = SimpleNamespace(db=DEFAULT_DB_ALIAS, query=query, _known_related_objects={})
        return list(ModelIterable(asked))

    def first(self, *values: Any) -> Row | None:
        return next(iter(self(*values)), None)

    def _compile(self) -> None:
        marks = [MARKS[kind](place) for place, kind in enumerate(self._types)]
        compiler: Any = self._build(*marks).query.get_compiler(DEFAULT_DB_ALIAS)
        self._sql, params = compiler.as_sql()
        self._params = [(given, marks.index(given) if given in marks else None) for given in params]
        if missing := set(range(len(marks))) - {place for _, place in self._params}:
            raise ValueError(f"The values {sorted(missing)} are no parameters of {self._sql}")
        self._compiler = compiler
