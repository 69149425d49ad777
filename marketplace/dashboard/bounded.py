"""Looking at a few rows of each of many kinds, in one statement whose cost does not grow with the table."""

from collections.abc import Sequence
from typing import Any

from django.db import connection
from django.db.models import QuerySet


def first_of_each(querysets: Sequence[QuerySet[Any, Any]]) -> list[list[tuple[Any, ...]]]:
    """The rows of each (sliced, `values_list`) queryset, as the database's driver gives them.

    Django's own `union` cannot be had of slices on SQLite.
    """
    found: list[list[tuple[Any, ...]]] = [[] for _ in querysets]
    parts, params = [], list[Any]()
    for number, queryset in enumerate(querysets):
        sql, given = queryset.query.sql_with_params()
        parts.append(f"SELECT {number}, part_{number}.* FROM ({sql}) part_{number}")
        params += given
    if parts:
        with connection.cursor() as cursor:
            cursor.execute(" UNION ALL ".join(parts), params)
            for number, *row in cursor.fetchall():
                found[number].append(tuple(row))
    return found


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
