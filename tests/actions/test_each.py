"""Rows that are written together: each keeps its own values, whatever they are, and the statement stays one text."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db import DataError, connection, transaction
from django.test.utils import CaptureQueriesContext

from marketplace.models import Account, Event, Job, Worker, insert_all, update_each
from tests import factories as make

pytestmark = pytest.mark.django_db

on_postgresql = pytest.mark.skipif("connection.vendor == 'sqlite'", reason="a parameter for each value there")


def test_rows_know_what_the_database_made_of_them() -> None:
    accounts = insert_all(Account(kind="escrow", name=f"job {n}") for n in range(5))
    kept = list(Account.objects.filter(name__startswith="job ").order_by("pk"))
    assert [(a.pk, a.name, a.created_at) for a in accounts] == [(a.pk, a.name, a.created_at) for a in kept]
    assert not any(account._state.adding for account in accounts)
    accounts[0].refresh_from_db()
    assert insert_all([]) == []


def test_each_row_keeps_values_of_any_kind() -> None:
    make.make_client()
    make.make_worker()
    job, worker = make.make_job(), Worker.objects.get()
    odd = ["", 'it\'s "quoted" \\ 100 % %s', "line\nline\ttab", "Größe 木 🌲", "{}", "null"]
    insert_all([Event(kind="test", actor="x", job=job, worker=worker, reason=text) for text in odd], read_back=False)
    found = list(Event.objects.filter(kind="test").order_by("pk"))
    assert [event.reason for event in found] == odd
    assert {(event.job_id, event.worker_id, event.assignment_id) for event in found} == {(job.pk, worker.pk, None)}
    numbers = [0.1 + 0.2, 5e-324, 1.7976931348623157e308, 1 / 3, 1e22]
    for number in numbers:
        update_each(Worker, {worker.pk: {"virtual_finish": number}})
        worker.refresh_from_db()
        assert repr(worker.virtual_finish) == repr(number)


def test_moments_and_documents_survive() -> None:
    make.make_client()
    jobs = [make.make_job() for _ in range(3)]
    at = [datetime(2026, 1, 2, 3, 4, 5, n, tzinfo=UTC) for n in (0, 1, 999_999)]
    scalars = [{"r2": 0.1 + 0.2, "n": n, "text": "ä\"'%s"} for n in range(3)]
    own = {job.pk: {"scalars": each} for job, each in zip(jobs, scalars, strict=True)}
    assert update_each(Job, own, where={"state": "pending"}, reason="the same for all") == 3
    assert [Job.objects.get(pk=job.pk).scalars for job in jobs] == scalars
    assert set(Job.objects.values_list("reason", flat=True)) == {"the same for all"}
    assert update_each(Job, own, where={"state": "verified"}, reason="none") == 0
    assert update_each(Job, {jobs[0].pk: {}, uuid.uuid4(): {}}, reason="by key alone") == 1
    worker = make.make_worker()
    for moment in at:
        update_each(Worker, {worker.pk: {"last_heartbeat_at": moment}})
        worker.refresh_from_db()
        assert worker.last_heartbeat_at == moment and worker.last_heartbeat_at.utcoffset() == timedelta(0)


@on_postgresql
def test_a_statement_is_the_same_for_one_row_and_for_many() -> None:
    def texts(count: int) -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            events = insert_all(Event(kind="test", actor="x", reason=str(n)) for n in range(count))
            update_each(Job, {uuid.uuid4(): {} for _ in events}, reason="")
            list(Event.objects.filter(pk__among=[event.pk for event in events]))
        return [each["sql"].partition("json_to_recordset")[0].partition("ANY(")[0] for each in captured]

    assert texts(1) == texts(7)


@on_postgresql
def test_what_is_too_long_for_its_column_is_refused_and_not_cut() -> None:
    with pytest.raises(DataError), transaction.atomic():
        insert_all([Event(kind="k" * 41, actor="x")])


@on_postgresql
def test_a_value_that_is_longer_than_its_column_finds_nothing() -> None:
    insert_all([Event(kind="k" * 40, actor="x")])
    assert Event.objects.filter(kind__among=["k" * 40]).exists()
    assert not Event.objects.filter(kind__among=["k" * 41]).exists()


@on_postgresql
@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"bytes", object()])
def test_what_json_does_not_have_is_refused(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        insert_all([Event(kind="test", actor="x", reason=value)])
