"""Changing many rows in one statement, each to values of its own."""

from collections.abc import Mapping
from typing import Any

from django.db import connection, models


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
    key, fields = meta.pk, [meta.get_field(name) for name in next(iter(own.values()))]
    own_sets = [f'"{field.column}" = {_cast(field, n)}' for n, field in enumerate(fields, 2)]
    same_fields = [(meta.get_field(name), value) for name, value in same.items()]
    guards = [(meta.get_field(name), value) for name, value in (where or {}).items()]
    row = f"({', '.join(['%s'] * (len(fields) + 1))})"
    sql = (
        f'UPDATE "{meta.db_table}" SET {", ".join(own_sets + [_is(field) for field, _ in same_fields])} '
        f"FROM (VALUES {', '.join([row] * len(own))}) AS given "
        f'WHERE "{meta.db_table}"."{key.column}" = {_cast(key, 1)}'
        + "".join(f' AND "{meta.db_table}".{_is(field)}' for field, _ in guards)
    )
    params = [field.get_db_prep_save(value, connection) for field, value in same_fields]
    for pk, values in own.items():
        params.append(key.get_db_prep_save(pk, connection))
        params += [field.get_db_prep_save(values[field.name], connection) for field in fields]
    params += [field.get_db_prep_save(value, connection) for field, value in guards]
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        changed: int = cursor.rowcount
    return changed


def _is(field: Any) -> str:
    return f'"{field.column}" = %s'


def _cast(field: Any, n: int) -> str:
    """The n-th column of the list of values, whose type the database does not know."""
    return f"CAST(given.column{n} AS {field.cast_db_type(connection)})"
