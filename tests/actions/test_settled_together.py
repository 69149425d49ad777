"""Small answers that wait are checked and settled as one batch, and each gets what it would get by itself."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.utils import OperationalError
from django.test.utils import CaptureQueriesContext

from marketplace import broker, dispatch, storage
from marketplace.actions import assignments, checking, expiry, payouts, settlement
from marketplace.models import (
    Account,
    Assignment,
    Challenge,
    Client,
    Contributor,
    Dataset,
    Event,
    HeldVerdict,
    Job,
    ReputationChange,
    Result,
    Transfer,
    Verdict,
    Worker,
    database_now,
)
from tests import factories as make

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset() -> str:
    """Data that are known to the network, whose client has enough for many jobs."""
    make.make_client(balance=10_000)
    make.make_worker()
    Challenge.objects.all().delete()  # a measurement that waits keeps jobs from its machine
    job = make.make_job(data=make.rows(24, 3))
    make.run_to_end(job)
    return job.dataset_id


def answered(dataset: str, answers: int, *, wrong: int | None = None) -> list[Job]:
    """Jobs whose answers wait for their check; the one that `wrong` counts is not right."""
    found = []
    for number in range(answers):
        job = make.make_job(dataset=dataset)
        Worker.objects.update(last_heartbeat_at=database_now())  # on a busy machine this takes a while
        assignment = make.assign(job)
        make.start(assignment)
        make.submit_answer(assignment, make.wrong_answer(job) if number == wrong else make.right_answer(job))
        found.append(job)
    return found


def states(jobs: list[Job]) -> list[str]:
    return [Job.objects.get(pk=job.pk).state for job in jobs]


def test_settling_twenty_takes_as_many_statements_as_settling_two(
    dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "SETTLE_AFTER_SECONDS", 60)
    counts = {}
    for many in (2, 20):
        answered(dataset, many)
        with CaptureQueriesContext(connection) as captured:
            assert checking.verify_waiting() == many
        counts[many] = len(captured)
    assert counts[20] == counts[2] <= 27, counts
    assert not Result.objects.filter(checked=False).exists()


def books() -> dict[str, Any]:
    """What settling leaves behind, but for ids and times."""
    return {
        "balances": sorted(Account.objects.exclude(balance=0).values_list("kind", "balance")),
        "transfers": list(Transfer.objects.order_by("id").values_list("code", "amount")),
        "events": Counter(Event.objects.values_list("kind", "actor", "before", "after")),
        "reputation": list(
            ReputationChange.objects.order_by("contributor__name", "id").values_list("before", "after", "actor")
        ),
        "contributors": sorted(Contributor.objects.values_list("name", "reputation", "verified", "rejected")),
        "workers": sorted(Worker.objects.values_list("name", "jobs_completed", "lent")),
        "verdicts": Counter(Verdict.objects.values_list("outcome", "method", "reason")),
        "jobs": sorted(Job.objects.values_list("state", "reason", "fault")),
        "assignments": sorted(Assignment.objects.values_list("state", "reason", "fault")),
        "scalars": sorted(str(scalars) for scalars in Job.objects.values_list("scalars", flat=True)),
    }


def lives(together: bool) -> dict[str, Any]:
    """Two contributors, one on a loan and both below full reputation; one of them computes a job of its own."""
    user = get_user_model().objects.create_user("both")
    make.make_client("bob", balance=10_000)
    Client.objects.filter(pk=make.make_client("mine").pk).update(user=user)
    worker = make.make_worker("one", stake=2000)
    make.lend(worker, 60)
    make.set_reputation(99.2)
    jobs: list[Job] = []

    def answer(count: int, client: str = "bob") -> None:
        for _ in range(count):
            jobs.append(make.make_job(client, data=make.rows(24, 3)))
            assignment = make.assign(jobs[-1])
            make.start(assignment)
            make.submit_answer(assignment, make.right_answer(jobs[-1]))

    answer(3)
    Worker.objects.filter(pk=worker.pk).update(is_active=False)  # the rest is the other's
    make.make_worker("two", stake=2000)
    Contributor.objects.exclude(pk=worker.contributor_id).update(user=user)
    answer(1)
    answer(1, "mine")
    if together:
        assert checking.verify_waiting() == len(jobs)
    else:
        for job in jobs:
            assert settlement.verify(assignment_id=Assignment.objects.get(job=job).pk) == "accepted"
    assert set(states(jobs)) == {"verified"}
    return books()


@pytest.fixture
def one_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The verifier draws the same randomness each time."""
    monkeypatch.setattr(settlement.secrets, "randbits", lambda bits: 1)


@pytest.mark.usefixtures("one_seed")
def test_answers_that_are_settled_together_get_what_each_would_get_alone() -> None:
    with transaction.atomic():
        alone = lives(together=False)
        transaction.set_rollback(True)
    together = lives(together=True)
    assert together == alone
    moves = [(before, after) for before, after, _ in together["reputation"]]
    assert moves == [(100.0, 99.2), (99.2, 99.7), (99.7, 100.0), (100.0, 100.0), (100.0, 100.0)]
    repaid = [amount for code, amount in together["transfers"] if code == "lend"][1:]
    assert repaid == [25_000_000, 25_000_000, 10_000_000], "half of what is earned, until the loan is paid back"


def test_a_wrong_answer_among_them_is_slashed_and_the_others_are_paid(dataset: str) -> None:
    jobs = answered(dataset, 4, wrong=1)
    assert checking.verify_waiting() == 4
    assert states(jobs) == ["verified", "pending", "verified", "verified"]
    assert Verdict.objects.filter(outcome="rejected").count() == 1
    assert Transfer.objects.filter(code="slash").exists()


def test_reputation_moves_in_the_order_in_which_answers_came(dataset: str) -> None:
    answered(dataset, 3, wrong=1)
    checking.verify_waiting()
    moves = ReputationChange.objects.order_by("id").values_list("before", "after")
    assert list(moves)[-3:] == [(100, 100), (100, 90), (90, 90.5)]


def test_where_they_cannot_be_settled_together_each_is_settled_alone(
    dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, pay, tried = answered(dataset, 3), settlement.pay, list[int]()

    def one_at_a_time(verified: Any) -> None:
        tried.append(len(verified))
        pay(verified)
        if len(verified) > 1:
            raise OperationalError("deadlock detected")

    monkeypatch.setattr(settlement, "pay", one_at_a_time)
    checking.verify_waiting()
    assert tried == [3, 1, 1, 1]
    assert states(jobs) == ["verified"] * 3
    assert all(storage.path("answers", str(job.pk)).is_file() for job in jobs)


def test_one_that_another_settles_meanwhile_does_not_keep_the_others_back(
    dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, check = answered(dataset, 3), checking.check

    def slow(result: Result, files: Any) -> Any:
        checked = check(result, files)
        if result.assignment.job_id == jobs[1].pk:
            assert settlement.give_up_checking(Result.objects.get(pk=result.pk)) == "gave up"
        return checked

    monkeypatch.setattr(checking, "check", slow)
    checking.verify_waiting()
    assert states(jobs) == ["verified", "failed", "verified"]
    assert not Transfer.objects.filter(job=jobs[1], code="capture").exists()


def test_one_whose_check_breaks_is_left_to_a_later_try_by_itself(dataset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, check_answer = answered(dataset, 3), settlement.check_answer
    bad = Assignment.objects.get(job=jobs[0])

    def breaks(task: Any, path: Any, secret: int) -> Any:
        if secret == broken:
            raise MemoryError
        return check_answer(task, path, secret)

    numbers = iter(range(10))
    broken = 0
    monkeypatch.setattr(settlement.secrets, "randbits", lambda bits: next(numbers))
    monkeypatch.setattr(settlement, "check_answer", breaks)
    checking.verify_waiting()
    assert states(jobs) == ["completed", "verified", "verified"]
    assert checking.verify_waiting() == 0, "it takes no other with it again"
    assert make.verify(bad) == "accepted"


def test_one_that_brings_its_verifier_down_takes_no_other_with_it_twice(
    dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = answered(dataset, 3)

    def killed(*given: Any) -> Any:
        raise SystemExit

    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(checking, "check", killed)
        checking.verify_waiting()
    soon = database_now() + timedelta(seconds=checking.LEASE_SECONDS)
    assert Result.objects.filter(checked=False, check_tries=1, check_lease_expires_at__lte=soon).count() == 3
    Result.objects.filter(checked=False).update(check_lease_expires_at=database_now() - timedelta(seconds=1))
    sent: list[str] = []
    monkeypatch.setattr(dispatch, "verify_now", sent.append)
    monkeypatch.setattr(broker, "waiting", lambda queue: 0)  # whatever other tests left in it
    expiry.recheck_unsettled()
    assert sorted(sent) == sorted(str(Assignment.objects.get(job=job).pk) for job in jobs), "each by itself"


def test_claims_and_large_answers_and_large_data_are_checked_by_themselves(dataset: str) -> None:
    job = answered(dataset, 1)[0]
    small = Result.objects.filter(checking.SMALL)
    result = small.select_related("assignment__job__dataset", "assignment__job__matrix").get(assignment__job=job)
    assert checking.is_small(result)
    result.claim = "the data are constant"
    assert not checking.is_small(result)
    result.claim, result.size_bytes = "", checking.SMALL_BYTES + 1
    assert not checking.is_small(result)
    with make.without_guards():
        Dataset.objects.filter(pk=dataset).update(matrix_bytes=checking.SMALL_BYTES + 1)
    result = Result.objects.get(pk=result.pk)
    assert not checking.is_small(result) and not small.exists()
    assert checking.verify_waiting() == 0
    assignment = make.assign(make.make_job(data=make.rows(12, 2)))
    make.start(assignment)
    assignments.fail(
        machine=assignment.worker, assignment_id=assignment.pk, fence=assignment.fence, fault="job", error="constant"
    )
    assert checking.verify_waiting() == 0


def test_while_payouts_are_frozen_all_of_them_are_held_and_paid_after(dataset: str) -> None:
    jobs = answered(dataset, 3)
    payouts.freeze(actor="olga", reason="to look")
    checking.verify_waiting()
    assert states(jobs) == ["completed"] * 3 and HeldVerdict.objects.count() == 3
    payouts.thaw(actor="olga")
    assert settlement.settle_held() == 3
    assert states(jobs) == ["verified"] * 3


def test_one_call_stands_for_all_small_answers_until_the_verifier_looks(
    dataset: str, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(dispatch, "_send", lambda name, args, **options: sent.append(name))
    broker.release(dispatch.CALLED)
    with django_capture_on_commit_callbacks(execute=True):
        answered(dataset, 5)
    assert sent.count(dispatch.VERIFY_WAITING) == 1 and dispatch.VERIFY not in sent
    checking.verify_waiting()
    with django_capture_on_commit_callbacks(execute=True):
        answered(dataset, 1)
    assert sent.count(dispatch.VERIFY_WAITING) == 2


def test_a_thread_that_finds_another_at_work_leaves_it_to_look_again(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []

    def lease() -> list[Result]:
        looks.append(1)
        if len(looks) == 1:  # while this one looks, another call comes
            other = Thread(target=checking.verify_waiting)
            other.start()
            other.join(timeout=10)
            assert not other.is_alive()
        return []

    monkeypatch.setattr(checking, "_lease", lease)
    assert checking.verify_waiting() == 0
    assert len(looks) == 2, "and nobody else looked"
