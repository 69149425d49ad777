"""What a small job costs on its way from submission to payment: statements, messages, writes to the disk."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from marketplace import broker, dispatch
from marketplace.actions import agenda, books, checkpoints, coordination, pulse, tokens
from marketplace.domain.errors import Refused
from marketplace.models import Assignment, BooksCheck, Challenge, Job, Network, NoticeScan, Transfer, database_now
from tests import factories as make

# Statements, BEGIN and COMMIT among them; PostgreSQL is asked for the time and for locks besides.
STEPS = {"submit": 14, "assign": 16, "start": 8, "answer": 10, "verify": 21}
NO_WORK = 6


@contextmanager
def counted(costs: dict[str, int], step: str) -> Iterator[None]:
    with CaptureQueriesContext(connection) as captured:
        yield
    costs[step] = len(captured)


@pytest.fixture
def dataset(db: None) -> str:
    make.make_client()
    make.make_worker()
    Challenge.objects.all().delete()  # a measurement that waits keeps jobs from its machine
    job = make.make_job(data=make.rows(24, 3))
    make.run_to_end(job)
    return job.dataset_id


def live(dataset: str, around: Callable[[str], object]) -> Job:
    """A job from submission to payment, each step within `around`."""
    with around("submit"):
        job = make.make_job(dataset=dataset)
    with around("assign"):
        assert coordination.assign_if_active() == 1
    assignment = job.assignments.select_related("worker__host", "job__dataset").get()
    answer = make.right_answer(job)
    with around("start"):
        make.start(assignment)
    with around("answer"):
        make.submit_answer(assignment, answer)
    with around("verify"):
        assert make.verify(assignment) == "accepted"
    return job


def test_a_job_takes_no_more_statements_than_these(dataset: str) -> None:
    costs: dict[str, int] = {}
    live(dataset, lambda step: counted(costs, step))
    assert all(costs[step] <= most for step, most in STEPS.items()), costs
    with counted(costs, "no work"):
        assert coordination.assign_if_active() == 0
    assert costs["no work"] <= NO_WORK


def test_a_cycle_that_finds_nothing_takes_four_statements_and_sealing_one(dataset: str) -> None:
    NoticeScan.objects.update_or_create(pk=1, defaults={"at": database_now()})
    coordination.run_cycle()
    books.check(row=BooksCheck.objects.get().pk)
    checkpoints.seal_and_sign()
    later = database_now() + timedelta(seconds=10)  # than what the job left to count
    Network.objects.update(last_cycle_at=later)
    for step, most in ((coordination.run_cycle, 4), (checkpoints.seal_and_sign, 1)):
        with CaptureQueriesContext(connection) as captured:
            step()
        assert len(captured) <= most, [query["sql"] for query in captured]
    due = agenda.look(database_now(), later)
    assert not any(due.values()), due


@pytest.mark.django_db
def test_a_transfer_is_one_statement_and_a_refused_one_writes_nothing() -> None:
    for name in ("alice", "bob"):
        make.make_client(name, balance=5)
    alice = tokens.wallet_named("alice")
    with CaptureQueriesContext(connection) as captured:
        made = tokens.transfer(source=alice, to="bob", amount=5)
    assert len(captured) == 1
    assert (made.source.name, made.destination.name, made.amount) == ("alice", "bob", 5_000_000)
    bob = tokens.wallet_named("bob")
    for source, to in ((bob, "alice"), (alice, "bob")) * 2:
        tokens.transfer(source=source, to=to, amount=1)
    if connection.vendor == "postgresql":  # which plans it once a connection
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE position('d.name = $' IN statement) > 0")
            assert cursor.fetchone()[0] > 0
    for to, why in (("bob", "alice has 0 tokens"), ("nobody", "no wallet nobody"), ("alice", "deal with itself")):
        with pytest.raises(Refused, match=why):
            tokens.transfer(source=alice, to=to, amount=1)
    assert Transfer.objects.filter(code="transfer").count() == 5


@pytest.mark.django_db
def test_the_web_process_says_that_it_is_there_in_one_statement() -> None:
    assert pulse.note_web_alive() == 0.0
    earlier = database_now() - timedelta(seconds=1)
    Network.objects.update(web_seen_at=earlier)
    with CaptureQueriesContext(connection) as captured:
        assert pulse.note_web_alive() == 0.0
    assert len(captured) == 1 and Network.objects.get().web_seen_at > earlier


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite plans in the process, and is not asked")
def test_postgresql_plans_a_statement_that_comes_again_once() -> None:
    for reward in range(4):
        assert not Job.objects.filter(reward=reward).exists()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE position('\"reward\" = $2' IN statement) > 0")
        assert cursor.fetchone()[0] == 1


def test_an_answer_and_its_verdict_are_flushed_to_the_disk_twice_each(
    dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    costs: dict[str, int] = {}

    @contextmanager
    def around(step: str) -> Iterator[None]:
        before = len(flushed)
        yield
        costs[step] = len(flushed) - before

    live(dataset, around)
    assert costs == {"submit": 0, "assign": 0, "start": 0, "answer": 2, "verify": 2}, "the file, and its folder"


def test_a_burst_of_submissions_wakes_the_coordinator_once_until_it_looks(
    dataset: str, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Callable
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(dispatch, "_send", lambda name, args, **options: sent.append(name))
    broker.release(dispatch.WOKEN)
    with django_capture_on_commit_callbacks(execute=True):
        for _ in range(5):
            make.make_job(dataset=dataset)
    assert sent == [dispatch.ASSIGN]
    coordination.assign_if_active()
    with django_capture_on_commit_callbacks(execute=True):
        make.make_job(dataset=dataset)
    assert sent == [dispatch.ASSIGN] * 2, "what comes after the coordinator has looked wakes it anew"


def test_a_free_worker_wakes_the_coordinator_only_where_a_job_waits(
    dataset: str, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Callable
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(dispatch, "_send", lambda name, args, **options: sent.append(name))
    monkeypatch.setattr(broker, "claim", lambda key, seconds: True)
    with django_capture_on_commit_callbacks(execute=True):
        live(dataset, lambda step: nullcontext())
    assert Counter(sent)[dispatch.ASSIGN] == 1, "its submission"
    make.make_job(dataset=dataset)
    waiting = make.make_job(dataset=dataset)
    coordination.assign_if_active()
    sent.clear()
    assignment = Assignment.objects.select_related("worker__host", "job__dataset").get(state="dispatched")
    make.start(assignment)
    with django_capture_on_commit_callbacks(execute=True):
        make.submit_answer(assignment, make.right_answer(assignment.job))
    assert dispatch.ASSIGN in sent and waiting.pk != assignment.job_id


def test_a_call_to_wake_that_was_lost_keeps_later_ones_back_for_a_second_only() -> None:
    broker.release(dispatch.WOKEN)
    assert broker.claim(dispatch.WOKEN, dispatch.WOKEN_SECONDS)
    assert not broker.claim(dispatch.WOKEN, dispatch.WOKEN_SECONDS)
    assert 0 < broker.connection().pttl(dispatch.WOKEN) <= 1000
