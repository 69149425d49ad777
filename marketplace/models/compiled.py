"""Queries whose SQL is made once a process: making it takes longer than asking, and some are asked by every request."""

from collections.abc import Callable
from copy import copy
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import QuerySet

Row = TypeVar("Row")

MARKS: dict[type, Callable[[int], Any]] = {  # values that no query has of its own, to be found among its parameters
    str: lambda place: f"\x02{place}\x03",
    int: lambda place: -(2**30) - place,
    float: lambda place: -(2.0**30) - place - 0.5,
    datetime: lambda place: datetime(9, 9, 9, tzinfo=UTC) + timedelta(days=place),
    UUID: lambda place: UUID(int=2**127 + place),
}


class Compiled(Generic[Row]):
    """`build` makes a queryset from values of these `types`; a call with such values answers its rows.

    A type in a list, `[UUID]`, is that of a list of such values, for the lookup `among`. What the queryset is made of
    must depend on the values as parameters alone.

    With `shared`, rows that `build` locks are locked FOR KEY SHARE, for which Django has no word: many may hold that at
    once, and whoever locks one FOR UPDATE, as deleting it does, waits for all of them.

    Raises:
        ValueError: at the first call, where a value is none of the statement's parameters.
    """

    def __init__(
        self, build: Callable[..., QuerySet[Any, Row]], *types: type | list[type], shared: bool = False
    ) -> None:
        self._build, self._types, self._shared = build, types, shared
        self._compiler: Any = None

    def __call__(self, *values: Any) -> list[Row]:
        connection: Any = connections[DEFAULT_DB_ALIAS]
        if connection.vendor == "sqlite" and any(isinstance(each, list) for each in self._types):
            return list(self._build(*values))  # a list has a parameter for each value there
        if self._compiler is None:
            self._compile(connection)
        compiler = copy(self._compiler)  # threads share all of it but these two
        compiler.connection = connection
        stored = [_stored(connection, kind, value) for kind, value in zip(self._types, values, strict=True)]
        params = tuple(given if place is None else stored[place] for given, place in self._params)
        compiler.as_sql = lambda: (self._sql, params)
        query = copy(self._query)
        query.get_compiler = lambda using: compiler
        return list(self._iterable(SimpleNamespace(db=DEFAULT_DB_ALIAS, query=query, _known_related_objects={})))

    def first(self, *values: Any) -> Row | None:
        return next(iter(self(*values)), None)

    def _compile(self, connection: Any) -> None:
        marks = [
            [MARKS[kind[0]](place)] if isinstance(kind, list) else MARKS[kind](place)
            for place, kind in enumerate(self._types)
        ]
        queryset: Any = self._build(*marks)
        self._query, self._iterable = queryset.query, queryset._iterable_class
        compiler: Any = self._query.get_compiler(DEFAULT_DB_ALIAS)
        sql, params = compiler.as_sql()
        self._sql = sql.replace(" FOR UPDATE", " FOR KEY SHARE") if self._shared else sql
        stored = [_stored(connection, kind, mark) for kind, mark in zip(self._types, marks, strict=True)]
        self._params = [(given, stored.index(given) if given in stored else None) for given in params]
        if missing := set(range(len(marks))) - {place for _, place in self._params}:
            raise ValueError(f"The values {sorted(missing)} are no parameters of {sql}")
        self._compiler = compiler


def _stored(connection: Any, kind: Any, value: Any) -> Any:
    """A value as this engine takes it for a parameter."""
    if isinstance(kind, list):
        return [_stored(connection, kind[0], each) for each in value]
    if kind is UUID:
        return value if connection.features.has_native_uuid_field else value.hex
    if kind is datetime:
        return connection.ops.adapt_datetimefield_value(value)
    return kind(value)
