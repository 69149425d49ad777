"""Writing many rows in one statement, each with values of its own.

On PostgreSQL they go as one JSON document, in the place of a list of values: so a statement's text is the same however
many rows there are, and it is planned once a connection.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.db import connection, models
from django.db.models.expressions import DatabaseDefault

from marketplace.models.among import type_of

Row = TypeVar("Row", bound=models.Model)


def insert_all(rows: Iterable[Row], *, read_back: bool = True) -> list[Row]:
    """Insert rows of one model, in order, which all leave the same columns to the database.

    Django's `bulk_create` makes an expression of each value, which takes longer than the insertion.

    Args:
        read_back: whether the rows are to know what the database made: their ids, and its defaults.
    """
    new = list(rows)
    if not new:
        return new
    model: Any = type(new[0])
    if connection.vendor == "sqlite":
        return model._default_manager.bulk_create(new)
    fields = [field for field in model._meta.concrete_fields if not _is_made(getattr(new[0], field.attname), field)]
    made = model._meta.db_returning_fields if read_back else []
    source, params = _source(fields, [[getattr(row, field.attname) for field in fields] for row in new])
    sql = f'INSERT INTO "{model._meta.db_table}" ({_names(fields)}) SELECT given.* FROM {source}'
    with connection.cursor() as cursor:
        cursor.execute(f"{sql} RETURNING {_names(made)}" if made else sql, params)
        read = cursor.fetchall() if made else [()] * len(new)
    for row, values in zip(new, read, strict=True):
        for field, value in zip(made, values, strict=True):
            setattr(row, field.attname, value)
        row._state.adding, row._state.db = False, connection.alias
    return new


def update_each(
    model: type[models.Model],
    own: Mapping[Any, Mapping[str, Any]],
    *,
    where: Mapping[str, Any] | None = None,
    **same: Any,
) -> int:
    """Set each row of `own`, by primary key, to its own values, and all to the `same`. Answers how many it changed.

    `where` names what columns must hold for a row to be changed. Django's `bulk_update` makes an expression of each
    value, which takes as long as the statements that it saves.
    """
    if not own:
        return 0
    meta: Any = model._meta
    names = list(next(iter(own.values())))
    fields = [meta.pk, *(meta.get_field(name) for name in names)]
    source, given = _source(fields, [[key, *(values[name] for name in names)] for key, values in own.items()])
    sets = [(meta.get_field(name), value) for name, value in same.items()]
    guards = [(meta.get_field(name), value) for name, value in (where or {}).items()]
    sql = (
        f'UPDATE "{meta.db_table}" SET '
        + ", ".join([f'"{field.column}" = given.c{n}' for n, field in enumerate(fields) if n] + _are(sets))
        + f' FROM {source} WHERE "{meta.db_table}"."{meta.pk.column}" = given.c0'
        + "".join(f' AND "{meta.db_table}".{each}' for each in _are(guards))
    )
    params = [*_stored(sets), *given, *_stored(guards)]
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        changed: int = cursor.rowcount
    return changed


def _is_made(value: Any, field: Any) -> bool:
    """Whether the database makes this value."""
    return isinstance(value, DatabaseDefault) or (value is None and field.primary_key)


def _source(fields: Sequence[Any], rows: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
    """`rows` as a table `given` of the columns c0, c1, …, each of its field's type, and its parameters."""
    if connection.vendor == "sqlite":
        columns = ", ".join(f"column{n + 1} AS c{n}" for n in range(len(fields)))
        row = f"({', '.join(['%s'] * len(fields))})"
        params = [value for each in rows for value in _stored(zip(fields, each, strict=True))]
        return f"(SELECT {columns} FROM (VALUES {', '.join([row] * len(rows))})) AS given", params
    columns = ", ".join(f"c{n} {type_of(field, connection)}" for n, field in enumerate(fields))
    document = [{f"c{n}": value for n, value in enumerate(each)} for each in rows]
    return f"json_to_recordset(%s::json) AS given({columns})", [json.dumps(document, allow_nan=False, default=_plain)]


def _plain(value: Any) -> str:
    """A value that JSON does not have, as PostgreSQL reads it."""
    if isinstance(value, (UUID, datetime)):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in a JSON document")


def _names(fields: Iterable[Any]) -> str:
    return ", ".join(f'"{field.column}"' for field in fields)


def _are(values: Iterable[tuple[Any, Any]]) -> list[str]:
    return [f'"{field.column}" = %s' for field, _ in values]


def _stored(values: Iterable[tuple[Any, Any]]) -> list[Any]:
    return [field.get_db_prep_save(value, connection) for field, value in values]
