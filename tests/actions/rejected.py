"""Bringing answers and standings about, for the tests of stakes and contests."""

from datetime import UTC, datetime

from marketplace.models import Account, Assignment, Contest, Job, Unbonding, Worker
from tests import factories as make

TOKEN = 1_000_000
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def balance(name: str, kind: str = "wallet") -> float:
    return Account.objects.get(kind=kind, name=name).balance / TOKEN


def given(job: Job) -> Assignment:
    """The job, with a worker that is free and has begun."""
    assignment = make.assign(job)
    make.start(assignment)
    return assignment


def answer_wrongly(job: Job) -> Assignment:
    assignment = given(job)
    make.submit_answer(assignment, make.wrong_answer(job))
    assert make.verify(assignment) == "rejected"
    return Assignment.objects.select_related("worker__contributor", "verdict").get(pk=assignment.pk)


def reread(worker: Worker) -> Worker:
    return Worker.objects.select_related("contributor__wallet", "stake", "unbonding").get(pk=worker.pk)


def let_the_delay_pass() -> None:
    with make.without_guards():
        Unbonding.objects.update(release_at=LONG_AGO)


def open_contest(assignment: Assignment) -> Contest:
    return Contest.objects.get(verdict__assignment=assignment)
