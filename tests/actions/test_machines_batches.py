"""A machine starts several assignments and sends several answers at once; each gets what it would get alone."""

import errno
import hashlib
import io
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import OperationalError

from marketplace import storage
from marketplace.actions import checking, coordination, starts
from marketplace.actions.answers import Answer, submit_all
from marketplace.actions.starts import start_all
from marketplace.domain.errors import Conflict, Gone, NoRoom, NotFound, Refused
from marketplace.models import (
    Assignment,
    Audience,
    Challenge,
    Client,
    Contributor,
    Job,
    ResourceClass,
    Result,
    Worker,
    database_now,
)
from marketplace.tables.arrays import save_archive
from tests import factories as make
from tests.actions.test_costs import counted

pytestmark = pytest.mark.django_db


def standing_in(count: int) -> Worker:
    """A machine that computes for itself and for `count - 1` others, as the sandbox's does."""
    machine = make.make_worker("w0", slots=count)
    for number in range(1, count):
        worker = make.make_worker(f"w{number}")
        Worker.objects.filter(pk=worker.pk).update(host=machine)
    Challenge.objects.all().delete()  # a measurement that waits keeps jobs from its machine
    return machine


def assigned(count: int) -> list[Assignment]:
    """As many assignments, by the worker's name."""
    if not Client.objects.exists():
        make.make_client(balance=10_000)
    for _ in range(count):
        make.make_job(data=make.rows(24, 3))
    assert coordination.assign_pending() == count
    return list(
        Assignment.objects.filter(state="dispatched").select_related("job__dataset", "worker").order_by("worker__name")
    )


def answer_to(assignment: Assignment, *, content: bytes | None = None, **more: object) -> Answer:
    file = io.BytesIO()
    save_archive(file, make.right_answer(assignment.job))
    body = file.getvalue()
    given = {
        "assignment_id": assignment.pk,
        "fence": assignment.fence,
        "digest": hashlib.sha256(body).hexdigest(),
        "seconds": 0.01,
        "body": io.BytesIO(body if content is None else content),
    }
    return Answer(**(given | more))  # type: ignore[arg-type]


def kinds(found: list) -> list[type]:
    return [type(each) for each in found]


def test_each_of_several_that_are_started_at_once_gets_its_specification_or_its_error_in_order() -> None:
    machine = standing_in(3)
    first, second, third = assigned(3)
    start_all(machine=machine, assignment_ids=[second.pk])
    unknown = uuid4()
    found = start_all(machine=machine, assignment_ids=[third.pk, second.pk, unknown, first.pk])
    assert kinds(found) == [dict, Conflict, NotFound, dict]
    assert [found[0]["assignment"], found[3]["assignment"]] == [str(third.pk), str(first.pk)]
    assert found[0]["stand_in"] == "w2" and "stand_in" not in found[3]
    assert set(Job.objects.values_list("state", flat=True)) == {"computing"}


def test_another_machine_starts_and_answers_none_of_them() -> None:
    machine, other = standing_in(1), make.make_worker("other")
    Worker.objects.filter(pk=other.pk).update(is_active=False)
    (only,) = assigned(1)
    assert kinds(start_all(machine=other, assignment_ids=[only.pk])) == [NotFound]
    start_all(machine=machine, assignment_ids=[only.pk])
    assert kinds(submit_all(machine=other, answers=[answer_to(only)])) == [NotFound]
    assert Job.objects.get().state == "computing"


def test_each_of_several_answers_is_taken_or_refused_in_order() -> None:
    machine = standing_in(5)
    live = assigned(5)
    start_all(machine=machine, assignment_ids=[each.pk for each in live])
    good, wrong_digest, empty, old, large = live
    answers = [
        answer_to(wrong_digest, digest="0" * 64),
        answer_to(good),
        answer_to(empty, content=b""),
        answer_to(old, fence=7),
        answer_to(large, content=b"x" * 10_000_000),
        answer_to(good, assignment_id=uuid4()),
    ]
    found = submit_all(machine=machine, answers=answers)
    assert kinds(found) == [Refused, type(None), Refused, Gone, Refused, NotFound]
    assert [job.state for job in Job.objects.order_by("worker__name")] == ["completed"] + ["computing"] * 4
    again = submit_all(
        machine=machine, answers=[answer_to(good), answer_to(good, digest="0" * 64), answer_to(wrong_digest)]
    )
    assert kinds(again) == [type(None), Conflict, type(None)]
    assert all(make.verify(each) == "accepted" for each in (good, wrong_digest))
    assert Contributor.objects.filter(verified=1).count() == 2


def test_an_answer_that_comes_twice_in_a_batch_is_taken_once() -> None:
    machine = standing_in(1)
    (only,) = assigned(1)
    start_all(machine=machine, assignment_ids=[only.pk])
    found = submit_all(machine=machine, answers=[answer_to(only), answer_to(only), answer_to(only, digest="0" * 64)])
    assert kinds(found) == [type(None), type(None), Conflict]
    assert Result.objects.count() == 1


def test_where_the_disk_is_full_none_of_a_batch_is_in_and_each_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = standing_in(2)
    live = assigned(2)
    start_all(machine=machine, assignment_ids=[each.pk for each in live])

    def full(files: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    answers = [answer_to(each) for each in live]
    with monkeypatch.context() as patched:
        patched.setattr(storage, "keep_all", full)
        assert kinds(submit_all(machine=machine, answers=answers)) == [NoRoom, NoRoom]
    assert set(Job.objects.values_list("state", flat=True)) == {"computing"} and not Result.objects.exists()
    assert submit_all(machine=machine, answers=[answer_to(each) for each in live]) == [None, None]


STEPS = {"start": 8, "answer": 10, "verify": 24}  # statements of a batch, whatever its size


def test_a_step_of_thirty_two_jobs_takes_as_many_statements_as_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "SETTLE_AFTER_SECONDS", 60)
    monkeypatch.setattr(checking, "TOGETHER", 33)  # a full batch has another look
    machine, costs = standing_in(32), dict[int, dict[str, int]]()
    for count in (1, 8, 32):
        Worker.objects.filter(pk=machine.pk).update(last_heartbeat_at=database_now())
        live = assigned(count)
        answers = [answer_to(each) for each in live]
        costs[count] = {}
        with counted(costs[count], "start"):
            start_all(machine=machine, assignment_ids=[each.pk for each in live])
        with counted(costs[count], "answer"):
            assert submit_all(machine=machine, answers=answers) == [None] * count
        with counted(costs[count], "verify"):
            assert checking.verify_waiting() == count
    assert all(each[step] <= most for each in costs.values() for step, most in STEPS.items()), costs
    assert costs[32] == costs[8]
    assert set(Job.objects.values_list("state", flat=True)) == {"verified"}


@pytest.mark.parametrize("breaks", [False, True])
def test_of_several_that_are_started_one_whose_worker_may_not_have_the_data_goes_back_alone(
    breaks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = standing_in(3)
    live = assigned(3)
    with make.without_guards():  # a job keeps its class
        audience = Audience.objects.create(key="nobody")
        Job.objects.filter(pk=live[1].job_id).update(resource_class=ResourceClass.objects.create(audience=audience))

    def deadlock(*given: object, **more: object) -> None:
        raise OperationalError("deadlock detected")

    if breaks:  # which the others, whose jobs are computing, must not suffer for
        monkeypatch.setattr(starts, "give_up_attempt", deadlock)
    found = start_all(machine=machine, assignment_ids=[each.pk for each in live])
    assert kinds(found) == [dict, Conflict, dict]
    state = "assigned" if breaks else "pending"
    assert [Job.objects.get(pk=each.job_id).state for each in live] == ["computing", state, "computing"]


def test_a_heartbeat_renews_many_leases_in_as_many_statements_as_one() -> None:
    machine = standing_in(8)
    begun = assigned(8)
    start_all(machine=machine, assignment_ids=[each.pk for each in begun])
    Assignment.objects.update(lease_expires_at=database_now() + timedelta(seconds=1))
    costs: dict[str, int] = {}
    for named in (begun[:1], begun):
        with counted(costs, str(len(named))):
            assert make.beat(machine, *named)["cancel"] == []
    assert costs["1"] == costs["8"], costs
    soon = database_now() + timedelta(seconds=5)
    assert Assignment.objects.filter(lease_expires_at__gt=soon, progress=0.5, note="half way").count() == 8
