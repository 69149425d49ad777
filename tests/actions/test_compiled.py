"""Queries whose SQL is made once: they answer what they would if it were made anew each time."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.db.models.sql.compiler import SQLCompiler
from django.test.utils import CaptureQueriesContext

from marketplace.models import Client, Compiled, Job, database_now
from tests import factories as make

pytestmark = pytest.mark.django_db


def test_a_query_is_made_once_and_answers_with_other_values(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    real = SQLCompiler.as_sql
    monkeypatch.setattr(SQLCompiler, "as_sql", lambda self, *a, **k: (made.append(self), real(self, *a, **k))[1])
    for name, balance in (("alice", 5), ("bob", 7)):
        make.make_client(name, balance=balance)
    asked = Compiled(lambda address: Client.objects.select_related("wallet").filter(address=address), str)
    made.clear()
    with CaptureQueriesContext(connection) as captured:
        found = [asked.first(name) for name in ("alice", "bob", "nobody", "' OR 1=1 --")]
        assert [each and (each.address, each.wallet.balance) for each in found] == [
            ("alice", 5_000_000),
            ("bob", 7_000_000),
            None,
            None,
        ]
    assert len(captured) == 4 and len(made) == 1


def test_a_value_that_would_change_the_statement_is_not_taken_for_a_parameter() -> None:

    with pytest.raises(ValueError, match="no parameters"):
        Compiled(lambda wanted: Client.objects.filter(address="alice"), str)("bob")


def test_moments_ids_and_lists_are_values_too_and_rows_may_be_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    make.make_client("alice")
    jobs = [make.make_job() for _ in range(3)]
    ids = [job.pk for job in jobs]
    among = Compiled(lambda wanted: Job.objects.filter(pk__among=wanted).order_by("pk").values_list("pk"), [UUID])
    one = Compiled(
        lambda wanted, now: Job.objects.filter(pk=wanted, deadline_at__gt=now).values("state"), UUID, datetime
    )
    now = database_now()
    for wanted in (ids, ids[:1], [], [uuid4()], set(ids)):
        assert among(wanted) == [(pk,) for pk in sorted(set(wanted) & set(ids))]
    assert one(ids[0], now) == [{"state": "pending"}]
    assert one(ids[0], now + timedelta(days=400)) == one(uuid4(), now) == []
    real = SQLCompiler.as_sql
    made: list[object] = []
    monkeypatch.setattr(SQLCompiler, "as_sql", lambda self, *a, **k: (made.append(self), real(self, *a, **k))[1])
    one(ids[1], now)
    assert not made
