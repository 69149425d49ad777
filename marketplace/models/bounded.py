"""Looking at a few rows of each of many kinds, in one statement whose cost does not grow with the table."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

from django.db import connection
from django.db.models import QuerySet, UUIDField


def first_of_each(queryset_of: Callable[[UUID], QuerySet[Any, Any]], keys: Sequence[UUID]) -> list[list[tuple]]:
    """The rows of `queryset_of` (sliced, `values_list`) for each key, as the database's driver gives them.

    Django's own `union` cannot be had of slices on SQLite, and would make the same SQL anew for each key: here it is
    made once, for a key that stands for all.
    """
    any_key = uuid4()
    sql, params = queryset_of(any_key).query.sql_with_params()
    found: list[list[tuple]] = [[] for _ in keys]
    if not keys:
        return found
    placeholder, given = _prepared(any_key), list[Any]()
    for key in map(_prepared, keys):
        given += [key if value == placeholder else value for value in params]
    parts = [f"SELECT {n}, part_{n}.* FROM ({sql}) part_{n}" for n in range(len(keys))]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts), given)
        for number, *row in cursor.fetchall():
            found[number].append(tuple(row))
    return found


def _prepared(key: UUID) -> Any:
    return UUIDField().get_db_prep_value(key, connection)


def counts_up_to(querysets: Sequence[QuerySet[Any, Any]], most: int) -> list[int]:
    """How many rows each queryset has, or `most` where there are as many or more."""
    parts, params = [], list[Any]()
    for number, queryset in enumerate(querysets):
        sql, given = queryset.order_by().values("pk")[:most].query.sql_with_params()
        parts.append(f"(SELECT COUNT(*) FROM ({sql}) part_{number})")
        params += given
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(parts)}", params)
        return list(cursor.fetchone())
