"""Two threads at one assignment, with real commits: what was late is never accepted, and one of two always wins alone.

`COMPUTENET_RACES` sets how many; 2,000 take some minutes.
"""

import hashlib
import io
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.db import connections

from marketplace import storage
from marketplace.actions import assignments, expiry, jobs, settlement
from marketplace.domain.errors import Conflict, Gone
from marketplace.models import Account, Assignment, Challenge, Job, Result, Transfer, Verdict, Worker, database_now
from marketplace.tables.arrays import save_archive
from tests import factories as make

RACES = int(os.environ.get("COMPUTENET_RACES", "25"))
SECOND = timedelta(seconds=1)


class Race:
    """One assignment at a time, and two threads that begin together."""

    def __init__(self) -> None:
        make.make_client("alice", balance=1_000_000)
        self.worker = make.make_worker()
        Challenge.objects.all().delete()  # a measurement that waits for half a minute keeps jobs from its machine
        self.body = answer(make.make_job(), self.worker)
        self._pool, self._barrier = ThreadPoolExecutor(2), threading.Barrier(2)

    def assigned(self) -> Assignment:
        Worker.objects.update(last_heartbeat_at=database_now())
        return make.assign(make.make_job())

    def started(self, lease: timedelta) -> Assignment:
        """A job in the worker's hands, whose lease ends so long from now."""
        assignment = self.assigned()
        make.start(assignment)
        Assignment.objects.filter(pk=assignment.pk).update(lease_expires_at=database_now() + lease)
        return assignment

    def run(self, *acts: Callable[[], Any]) -> list[str]:
        """What came of each: "done", or the refusal's name."""
        return list(self._pool.map(self._one, acts))

    def _one(self, act: Callable[[], Any]) -> str:
        self._barrier.wait(timeout=60)
        try:
            act()
            return "done"
        except (Conflict, Gone) as refusal:
            return type(refusal).__name__

    def send(self, assignment: Assignment) -> None:
        assignments.submit_result(
            machine=self.worker,
            assignment_id=assignment.pk,
            fence=assignment.fence,
            digest=hashlib.sha256(self.body).hexdigest(),
            seconds=0.01,
            body=io.BytesIO(self.body),
        )

    def end(self, assignment: Assignment) -> tuple[str, str]:
        """The states of job and assignment; what is still open is called off, so that the worker is free."""
        assignment.refresh_from_db()
        job = Job.objects.get(pk=assignment.job_id)
        if job.state in ("pending", "assigned", "computing"):
            jobs.cancel(job_id=job.pk, user=None, actor="client")
        elif job.state == "completed":
            settlement.verify(assignment_id=assignment.pk)
        return job.state, assignment.state

    def close(self) -> None:
        for _ in self._pool.map(lambda _: (self._barrier.wait(timeout=60), connections.close_all()), range(2)):
            pass
        self._pool.shutdown()


def answer(job: Job, worker: Any) -> bytes:
    """The bytes of the right answer, which is the same for every job on the model's own sample."""
    assignment = make.assign(job)
    with storage.temporary() as file:
        save_archive(file, make.right_answer(job))
        file.seek(0)
        body = file.read()
    jobs.cancel(job_id=job.pk, user=None, actor="client")
    assert assignment.worker_id == worker.pk
    return body


@pytest.fixture
def race(committed_db: str, settings: Any, tmp_path: Path) -> Iterator[Race]:
    settings.COMPUTENET_HOME = tmp_path / "home"
    made = Race()
    yield made
    made.close()


def test_a_late_answer_against_the_expiry_is_never_accepted_paid_or_slashed(race: Race) -> None:
    stake = Account.objects.get(pk=race.worker.stake_id).balance
    seen: Counter[Any] = Counter()
    for _ in range(RACES):
        assignment = race.started(-timedelta(milliseconds=1))
        sent, _ = race.run(lambda a=assignment: race.send(a), expiry.expire_leases)
        seen[sent, *race.end(assignment)] += 1
    assert set(seen) == {("Gone", "pending", "lost")}, seen
    assert not Result.objects.exists() and not Verdict.objects.exists()
    assert not Transfer.objects.filter(code__in=["capture", "slash", "fee"]).exists()
    assert Account.objects.get(pk=race.worker.stake_id).balance == stake
    assert not storage.path("results", hashlib.sha256(race.body).hexdigest()).exists()


def test_an_answer_at_the_very_end_of_its_lease_is_taken_or_lost_and_never_both(race: Race) -> None:
    for _ in range(RACES):
        assignment = race.started(timedelta(milliseconds=3))
        sent, _ = race.run(lambda a=assignment: race.send(a), expiry.expire_leases)
        taken = Result.objects.filter(pk=assignment.pk).exists()
        assert taken == (sent == "done")
        if not taken:
            expiry.expire_leases()  # where it was asked a moment too early
        assert race.end(assignment) == (("completed", "submitted") if taken else ("pending", "lost"))
        paid = Transfer.objects.filter(job=assignment.job_id, code="capture").count()
        assert paid == (1 if taken else 0)


def test_a_late_start_against_the_expiry_never_begins(race: Race) -> None:
    for _ in range(RACES):
        assignment = race.assigned()
        Assignment.objects.filter(pk=assignment.pk).update(lease_expires_at=database_now() - SECOND)
        begun, _ = race.run(lambda a=assignment: make.start(a), expiry.expire_leases)
        assert (begun, *race.end(assignment)) == ("Conflict", "pending", "lost")


def test_a_late_heartbeat_against_the_expiry_renews_nothing(race: Race) -> None:
    for _ in range(RACES):
        assignment = race.started(-timedelta(milliseconds=1))
        replies: list[dict[str, Any]] = []
        race.run(lambda a=assignment, r=replies: r.append(make.beat(race.worker, a)), expiry.expire_leases)
        assert replies[0]["cancel"] == [str(assignment.pk)]
        assert race.end(assignment) == ("pending", "lost")


def test_a_cancellation_against_the_answer_is_one_or_the_other(race: Race) -> None:
    seen: Counter[Any] = Counter()
    for index in range(RACES):
        assignment = race.started(SECOND * 60)
        acts = [
            lambda a=assignment: race.send(a),
            lambda a=assignment: jobs.cancel(job_id=a.job_id, user=None, actor="client"),
        ]
        came = race.run(*(acts if index % 2 else reversed(acts)))
        sent, cancelled = came if index % 2 else reversed(came)
        seen[sent, cancelled, *race.end(assignment)] += 1
        captured = Transfer.objects.filter(job=assignment.job_id, code="capture").values_list("amount", flat=True)
        assert list(captured) == [50_000_000 if sent == "done" else 5_000_000]
    one, other = ("done", "Conflict", "completed", "submitted"), ("Gone", "done", "cancelled", "cancelled")
    assert set(seen) <= {one, other}, seen


def test_one_answer_twice_at_once_is_one(race: Race) -> None:
    for _ in range(RACES):
        assignment = race.started(SECOND * 60)
        assert race.run(*[lambda a=assignment: race.send(a)] * 2) == ["done", "done"]
        assert race.end(assignment) == ("completed", "submitted")
    assert Transfer.objects.filter(code="capture").count() == RACES


def test_a_late_answer_does_not_take_away_the_file_of_the_same_answer_in_time(committed_db: str) -> None:
    """Honest workers write the same bytes, so that the answer of a lost attempt has the name of the next one's."""
    make.make_client()
    first, second = make.make_worker("first"), make.make_worker("second")
    job = make.make_job()
    lost = make.assign(job)
    make.start(lost)
    Assignment.objects.filter(pk=lost.pk).update(lease_expires_at=database_now() - SECOND)
    body = make.right_answer(job)
    with pytest.raises(Gone):
        make.submit_answer(lost, body)
    expiry.expire_leases()
    again = make.assign(job)
    assert {lost.worker_id, again.worker_id} == {first.pk, second.pk}
    make.start(again)
    make.submit_answer(again, body)
    with pytest.raises(Gone):
        make.submit_answer(lost, body)
    assert make.verify(again) == "accepted"
    np.testing.assert_equal(sorted(body), sorted(make.right_answer(job)))
