"""A job's life through the actions: who is paid, when, and what happens when something goes wrong."""

import base64
import io
import time

import numpy as np
import pytest
from django.db.models import F

from marketplace.actions import assignments, coordination, expiry, jobs
from marketplace.actions.results import read_result
from marketplace.domain.errors import Conflict, Gone, InsufficientFunds, NotFound
from marketplace.models import Account, Assignment, Event, Job, Result, Worker, database_now
from tests import factories as make

pytestmark = pytest.mark.django_db
TOKEN = 1_000_000


def balance(name: str, kind: str = "wallet") -> float:
    return Account.objects.get(kind=kind, name=name).balance / TOKEN


def expire(assignment: Assignment) -> None:
    """Let the lease run out: an hour ago by the database's clock."""
    Assignment.objects.filter(pk=assignment.pk).update(lease_expires_at="2000-01-01T00:00:00Z")
    expiry.expire_leases()


@pytest.mark.parametrize("model_type", ["linear_regression", "kmeans_clustering", "pca_analysis"])
def test_a_right_answer_is_paid_once_in_full(model_type):
    make.make_client()
    make.make_worker()
    job = make.make_job(model_type=model_type, reward=50)
    assert balance("alice") == 950
    assert balance(str(job.pk), "escrow") == 50
    job = make.run_to_end(job)
    assert job.state == "verified"
    assert balance("rtx4090") == 150
    assert balance(str(job.pk), "escrow") == 0
    assert job.assignments.get().verdict.outcome == "accepted"
    result = read_result(job=job, limit=None)
    assert result["worker_id"] == "rtx4090"
    assert [e.after for e in Event.objects.filter(job=job, kind__startswith="job.").order_by("id")] == [
        "pending",
        "assigned",
        "computing",
        "completed",
        "verified",
    ]


def test_a_right_answer_above_a_mebibyte_is_paid_like_any_other():
    make.make_client()
    make.make_worker()
    X = np.random.default_rng(0).normal(size=(420, 400))  # the answer holds a 400 × 400 Gram matrix
    file = io.BytesIO()
    np.save(file, X)
    job = make.make_job(model_type="pca_analysis", input_data=base64.b64encode(file.getvalue()).decode())
    assert make.run_to_end(job).state == "verified"


def test_a_wrong_answer_is_slashed_and_another_worker_does_the_job():
    make.make_client()
    make.make_worker("first")
    job = make.make_job(reward=50)
    wrong = make.assign(job)
    make.start(wrong)
    make.submit_answer(wrong, make.wrong_answer(job))
    assert make.verify(wrong) == "rejected"
    job.refresh_from_db()
    assert job.state == "pending"
    first = Worker.objects.select_related("contributor").get(name="first")
    assert first.contributor.reputation == 90
    assert balance("first", "stake") == 135  # the smaller of 10 % of 150 and 50
    assert balance("treasury", "treasury") == 7.5
    assert balance("alice") == 957.5, "half of a slash goes to the client that was kept waiting"
    coordination.assign_pending()
    job.refresh_from_db()
    assert job.state == "pending", "the worker that got it wrong does not get it again"
    make.make_worker("second")
    job = make.run_to_end(job)
    assert job.state == "verified"
    assert balance("second") == 150
    assert balance("first") == 100


def test_a_worker_below_the_least_reputation_is_deactivated():
    make.make_client()
    worker = make.make_worker(stake=1000)
    make.set_reputation(55)
    job = make.make_job(reward=5)
    assignment = make.assign(job)
    make.start(assignment)
    make.submit_answer(assignment, make.wrong_answer(job))
    make.verify(assignment)
    worker.refresh_from_db()
    assert not worker.is_active


def test_a_lost_attempt_goes_to_another_worker_and_its_late_answer_is_not_paid():
    make.make_client()
    make.make_worker("first")
    job = make.make_job()
    lost = make.assign(job)
    make.start(lost)
    make.make_worker("second")
    expire(lost)
    again = make.assign(job)
    assert again.worker.name == "second"
    assert again.fence == lost.fence + 1
    with pytest.raises(Gone):
        make.submit_answer(lost, make.right_answer(job))
    with pytest.raises(Gone):
        make.submit_answer(lost, make.right_answer(job), fence=again.fence)
    assert not Result.objects.exists()
    make.start(again)
    make.submit_answer(again, make.right_answer(job))
    make.verify(again)
    assert (balance("first"), balance("second")) == (100, 150)


def test_an_answer_after_the_lease_but_before_the_sweep_is_refused():
    make.make_client()
    make.make_worker()
    job = make.make_job()
    assignment = make.assign(job)
    make.start(assignment)
    Assignment.objects.filter(pk=assignment.pk).update(lease_expires_at="2000-01-01T00:00:00Z")
    with pytest.raises(Gone):
        make.submit_answer(assignment, make.right_answer(job))


def test_a_lone_worker_that_fell_silent_may_try_again():
    make.make_client()
    make.make_worker()
    job = make.make_job()
    lost = make.assign(job)
    make.start(lost)
    expire(lost)
    assert make.run_to_end(job).state == "verified"


def test_a_job_past_its_attempts_fails_and_the_reward_is_back():
    make.make_client()
    make.make_worker()
    job = make.make_job(reward=70)
    for _ in range(job.max_attempts):
        assignment = make.assign(job)
        make.start(assignment)
        expire(assignment)
    job.refresh_from_db()
    assert (job.state, job.fault) == ("failed", "worker")
    assert balance("alice") == 1000


def test_a_job_past_its_deadline_fails_and_the_reward_is_back():
    make.make_client()
    job = make.make_job(deadline_seconds=1e-6)
    assert make.is_due("deadlines") and expiry.expire_deadlines() == 1
    job.refresh_from_db()
    assert job.state == "failed"
    assert "deadline" in job.reason
    assert balance("alice") == 1000


def sleep_past_deadline(job: Job) -> None:
    """A deadline is never moved, so it has to pass; long enough that a busy machine begins the job before it."""
    time.sleep(max(0.0, (job.deadline_at - database_now()).total_seconds()) + 0.05)


def test_a_deadline_that_passes_while_computing_ends_the_attempt():
    make.make_client()
    worker = make.make_worker()
    job = make.make_job(deadline_seconds=2)
    assignment = make.assign(job)
    make.start(assignment)
    sleep_past_deadline(job)
    assert expiry.expire_deadlines()
    assert make.beat(worker, assignment)["cancel"] == [str(assignment.pk)]


def test_an_answer_after_the_deadline_but_before_the_sweep_is_refused():
    make.make_client()
    make.make_worker()
    job = make.make_job(deadline_seconds=2)
    assignment = make.assign(job)
    make.start(assignment)
    answer = make.right_answer(job)
    sleep_past_deadline(job)
    with pytest.raises(Gone):
        make.submit_answer(assignment, answer)
    assert not Result.objects.exists()


def test_an_answer_twice_is_one_answer_and_another_one_is_refused():
    make.make_client()
    make.make_worker()
    job = make.make_job()
    assignment = make.assign(job)
    make.start(assignment)
    answer = make.right_answer(job)
    make.submit_answer(assignment, answer)
    make.submit_answer(assignment, answer)
    with pytest.raises(Conflict):
        make.submit_answer(assignment, make.wrong_answer(job))
    assert make.verify(assignment) == "accepted"
    assert make.verify(assignment) == ""
    assert balance("rtx4090") == 150


def test_a_second_start_is_refused():
    make.make_client()
    make.make_worker()
    assignment = make.assign(make.make_job())
    make.start(assignment)
    with pytest.raises(Conflict):
        make.start(assignment)


def test_another_machine_sees_nothing_of_an_assignment():
    make.make_client()
    make.make_worker("mine")
    assignment = make.assign(make.make_job())
    other = make.make_worker("other")
    for call in (
        lambda: assignments.start(machine=other, assignment_id=assignment.pk),
        lambda: assignments.fail(machine=other, assignment_id=assignment.pk, fence=1, fault="worker", error="x"),
        lambda: assignments.readable_matrix(machine=other, sha256=assignment.job.dataset.matrix_sha256),
    ):
        with pytest.raises(NotFound):
            call()
    assert make.beat(other, assignment)["cancel"] == [str(assignment.pk)]


def test_a_heartbeat_renews_the_lease_of_a_started_assignment_only_with_its_fence():
    make.make_client()
    worker = make.make_worker()
    assignment = make.assign(make.make_job())
    make.start(assignment)
    Assignment.objects.filter(pk=assignment.pk).update(progress=0)
    assert make.beat(worker, assignment)["cancel"] == []
    assignment.refresh_from_db()
    assert assignment.progress == 0.5
    assignment.fence += 1
    assert make.beat(worker, assignment)["cancel"] == [str(assignment.pk)]


def test_data_that_make_the_model_fail_end_the_job_and_cost_nobody_reputation():
    make.make_client()
    worker = make.make_worker()
    job = make.make_job(data=[[1e150, 1.0], [-1e150, 2.0], [1e150, 3.0], [0.0, 4.0]])
    assignment = make.assign(job)
    make.start(assignment)
    try:
        make.right_answer(job)
        claimable = False
    except ValueError:
        claimable = True
    assignments.fail(machine=worker, assignment_id=assignment.pk, fence=1, fault="job", error="It overflows.")
    make.verify(assignment)
    job.refresh_from_db()
    assert job.state == ("failed" if claimable else "pending")
    worker.contributor.refresh_from_db()
    assert worker.contributor.reputation == 100


def test_a_false_claim_against_the_data_sends_the_job_to_another_worker():
    make.make_client()
    worker = make.make_worker("liar")
    job = make.make_job()
    assignment = make.assign(job)
    make.start(assignment)
    assignments.fail(machine=worker, assignment_id=assignment.pk, fence=1, fault="job", error="It is bad data.")
    assert make.verify(assignment) == "failed by the worker"
    make.make_worker("honest")
    assert make.run_to_end(job).worker.name == "honest"


def test_a_worker_that_could_not_gets_the_job_again_only_where_no_other_could():
    make.make_client()
    worker = make.make_worker("broken")
    job = make.make_job()
    for _ in range(2):
        assignment = make.assign(job)
        assert assignment.worker == worker
        make.start(assignment)
        fence = assignment.fence
        assignments.fail(
            machine=worker, assignment_id=assignment.pk, fence=fence, fault="worker", error="Out of memory."
        )
    with pytest.raises(Conflict):
        assignments.fail(machine=worker, assignment_id=assignment.pk, fence=fence, fault="worker", error="Again.")
    make.make_worker("sound")
    assert make.assign(job).worker.name == "sound"


def test_cancelling_a_pending_job_gives_all_of_the_reward_back():
    make.make_client()
    job = make.make_job(reward=40)
    jobs.cancel(job_id=job.pk, user=None, actor="alice")
    assert balance("alice") == 1000
    with pytest.raises(Conflict):
        jobs.cancel(job_id=job.pk, user=None, actor="alice")


def test_cancelling_while_a_worker_computes_pays_it_a_tenth():
    make.make_client()
    worker = make.make_worker()
    job = make.make_job(reward=40)
    assignment = make.assign(job)
    make.start(assignment)
    jobs.cancel(job_id=job.pk, user=None, actor="alice")
    assert (balance("alice"), balance("rtx4090")) == (996, 104)
    assert make.beat(worker, assignment)["cancel"] == [str(assignment.pk)]


def test_a_job_whose_answer_is_being_checked_cannot_be_cancelled():
    make.make_client()
    make.make_worker()
    job = make.make_job()
    assignment = make.assign(job)
    make.start(assignment)
    make.submit_answer(assignment, make.right_answer(job))
    with pytest.raises(Conflict):
        jobs.cancel(job_id=job.pk, user=None, actor="alice")


def test_a_reward_beyond_the_balance_is_refused_and_leaves_no_row():
    make.make_client(balance=10)
    before = Account.objects.count()
    with pytest.raises(InsufficientFunds, match="alice has 10 tokens"):
        make.make_job(reward=11)
    assert not Job.objects.exists()
    assert Account.objects.count() == before


def test_a_check_that_breaks_is_tried_again_and_at_last_refunded(monkeypatch):
    make.make_client()
    make.make_worker()
    job = make.make_job()
    assignment = make.assign(job)
    make.start(assignment)
    make.submit_answer(assignment, make.right_answer(job))

    def break_down(*args):
        raise MemoryError

    monkeypatch.setattr("marketplace.actions.settlement.check_answer", break_down)
    assert [make.verify(assignment) for _ in range(4)] == ["released", "released", "gave up", ""]
    job.refresh_from_db()
    assert (job.state, job.fault, balance("alice")) == ("failed", "system", 1000)


def test_a_verifier_that_died_leaves_its_result_to_another():
    make.make_client()
    make.make_worker()
    job = make.make_job()
    assignment = make.assign(job)
    make.start(assignment)
    make.submit_answer(assignment, make.right_answer(job))
    Result.objects.update(check_lease_expires_at="2100-01-01T00:00:00Z", check_tries=F("check_tries") + 1)
    assert make.verify(assignment) == "", "it is leased"
    Result.objects.update(check_lease_expires_at="2000-01-01T00:00:00Z")
    assert make.verify(assignment) == "accepted"
