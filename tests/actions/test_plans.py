"""What a job's way asks of the database finds its rows by an index, and costs the same whatever else is there."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection

from marketplace.actions import coordination
from marketplace.models import Challenge
from tests import factories as make

# Tables that grow with the work. (Those of workers are read whole: a choice is made among all of them.)
GROWING = ("job", "assignment", "result", "verdict", "event", "account", "transfer", "dataset", "client")
SCAN = re.compile(rf"(?:Seq Scan on|SCAN) \"?marketplace_({'|'.join(GROWING)})\b(?!.* USING )")


@contextmanager
def asked(found: list[tuple[str, Any]]) -> Iterator[None]:
    """Every statement inside that reads or changes rows, with its parameters."""

    def keep(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        ends_at_once = sql.endswith("ORDER BY 1 DESC LIMIT 1")  # the newest of all rows, by the primary key
        if sql.lstrip().startswith(("SELECT", "UPDATE", "WITH")) and "marketplace_" in sql and not ends_at_once:
            found.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(keep):
        yield


def plan_of(sql: str, params: Any) -> str:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")  # a small table is read whole where that is let
            cursor.execute(f"EXPLAIN {sql}", params)
        else:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
        return "\n".join(str(row[-1]) for row in cursor.fetchall())


@pytest.mark.django_db
def test_no_step_of_a_jobs_life_reads_a_growing_table_whole() -> None:
    make.make_client()
    worker = make.make_worker()
    Challenge.objects.all().delete()
    first = make.make_job(data=make.rows(24, 3))
    make.run_to_end(first)
    statements: list[tuple[str, Any]] = []
    with asked(statements):
        job = make.make_job(dataset=first.dataset_id)
        assert coordination.assign_if_active() == 1
        assignment = job.assignments.select_related("worker__host", "job__dataset").get()
        make.start(assignment)
        make.beat(worker, assignment)
        make.submit_answer(assignment, make.right_answer(job))
        assert make.verify(assignment) == "accepted"
        coordination.run_cycle()
    assert len(statements) > 60
    whole = {(SCAN.search(plan)[0], sql) for sql, params in statements if SCAN.search(plan := plan_of(sql, params))}
    assert not whole, "\n\n".join(f"{what}:\n{sql}" for what, sql in sorted(whole))


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite's are made of the same rows")
def test_no_index_of_a_growing_table_begins_as_another_of_it_does() -> None:
    """Each is written to at every insertion, and at almost every change."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT one.indexrelid::regclass::text, other.indexrelid::regclass::text FROM pg_index one "
            "JOIN pg_index other ON other.indrelid = one.indrelid AND other.indexrelid <> one.indexrelid "
            "WHERE one.indrelid = ANY (%s::regclass[]) AND NOT one.indisunique AND one.indpred IS NULL "
            "AND other.indpred IS NULL AND (other.indkey::text || ' ') LIKE (one.indkey::text || ' %%')",
            [[f"marketplace_{table}" for table in GROWING if table not in ("dataset", "client")]],
        )
        assert cursor.fetchall() == []


@pytest.mark.django_db
@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite counts no rows that are read")
def test_the_guards_of_a_jobs_life_read_no_more_rows_however_many_jobs_were_before() -> None:
    """What triggers ask is in no statement's plan; PostgreSQL counts the rows that a transaction has read."""
    make.make_client(balance=5000)
    make.make_worker(stake=1000)
    first = make.run_to_end(make.make_job(data=make.rows(24, 3)))

    def read_by_one_more() -> dict[str, int]:
        before = rows_read()
        make.run_to_end(make.make_job(dataset=first.dataset_id))
        return {table: count - before[table] for table, count in rows_read().items()}

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; DISCARD PLANS")
    early = [read_by_one_more() for _ in range(3)][-1]
    late = [read_by_one_more() for _ in range(20)][-1]
    # But of accounts: a wallet's older versions, which one long transaction keeps, are passed over again.
    assert late | {"marketplace_account": 0} == early | {"marketplace_account": 0}


def rows_read() -> dict[str, int]:
    tables = [f"marketplace_{name}" for name in GROWING]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables "
            "WHERE relname = ANY(%s)",
            [tables],
        )
        return dict(cursor.fetchall())
