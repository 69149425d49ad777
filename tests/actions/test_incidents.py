"""What an operator does in an incident, and that the money stays right in the middle of it."""

import pytest
import redis
from django.core.management import call_command
from django.db.models import Sum

from marketplace import storage
from marketplace.actions import coordination, incidents, jobs, payouts, reverification, settlement, stakes, workers
from marketplace.domain.errors import Conflict, Forbidden, NotFound, Refused
from marketplace.models import (
    Assignment,
    Contributor,
    EnrolmentKey,
    Event,
    HeldVerdict,
    Network,
    Reverification,
    Transfer,
    Verdict,
    Worker,
)
from tests import factories as make
from tests.actions.rejected import balance, given, let_the_delay_pass

pytestmark = pytest.mark.django_db


def freeze() -> None:
    assert payouts.freeze(actor="olga", reason="something is wrong")


def happened(kind: str) -> Event:
    """The one event of this kind, which names the operator."""
    event = Event.objects.get(kind=kind)
    assert event.actor == "olga"
    return event


def worker() -> Worker:
    return make.make_worker()


def again(row: Worker) -> Worker:
    return Worker.objects.select_related("contributor", "stake").get(pk=row.pk)


# freezing -------------------------------------------------------------------------------------------------------------


def test_a_right_answer_is_held_while_payouts_are_frozen_and_paid_once_they_are_thawed():
    make.make_client(), worker()
    before = balance("rtx4090")
    freeze()
    assignment = given(job := make.make_job())
    make.submit_answer(assignment, make.right_answer(job))
    assert make.verify(assignment) == "held"
    job.refresh_from_db()
    assert (job.state, job.escrow.balance, balance("rtx4090")) == ("completed", job.reward, before)
    assert Verdict.objects.get().outcome == "accepted"
    coordination.run_cycle()
    assert HeldVerdict.objects.filter(settled_at=None).count() == 1

    assert payouts.thaw(actor="olga") == 1
    coordination.run_cycle()
    coordination.run_cycle()
    job.refresh_from_db()
    job.escrow.refresh_from_db()
    assert (job.state, job.escrow.balance, balance("rtx4090")) == ("verified", 0, before + 50)
    assert job.scalars and storage.path("answers", str(job.pk)).is_file()
    assert again(assignment.worker).jobs_completed == 1
    assert Transfer.objects.filter(code="capture").count() == Verdict.objects.count() == 1
    assert happened("payouts.frozen").reason == "something is wrong" and happened("payouts.thawed")


def test_a_wrong_answer_is_slashed_only_after_the_thaw():
    make.make_client(), worker()
    freeze()
    assignment = given(job := make.make_job())
    make.submit_answer(assignment, make.wrong_answer(job))
    assert make.verify(assignment) == "held"
    assert (again(assignment.worker).stake.balance, Contributor.objects.get().reputation) == (150_000_000, 100)
    payouts.thaw(actor="olga")
    assert settlement.settle_held() == 1
    job.refresh_from_db()
    assert job.state == "pending"
    assert (again(assignment.worker).stake.balance, Contributor.objects.get().reputation) == (135_000_000, 90)
    assert settlement.settle_held() == 0


def test_no_other_way_of_paying_out_is_open_while_frozen():
    make.make_client(), worker()
    stakes.unstake(name="rtx4090", amount=150, user=None)
    let_the_delay_pass()
    second = make.make_worker("a100", "A100")
    given(job := make.make_job())
    freeze()
    assert not payouts.freeze(actor="olga", reason="again")
    with pytest.raises(Conflict, match="frozen"):
        jobs.cancel(job_id=job.pk, user=None, actor="alice")
    assert stakes.release_due() == 0
    assert balance("a100") == 100 and second
    payouts.thaw(actor="olga")
    assert stakes.release_due() == 1
    jobs.cancel(job_id=job.pk, user=None, actor="alice")
    assert Transfer.objects.filter(code="capture").aggregate(total=Sum("amount"))["total"] == 5_000_000


def test_a_client_still_gets_a_pending_jobs_reward_back_while_frozen():
    make.make_client()
    job = make.make_job()
    freeze()
    jobs.cancel(job_id=job.pk, user=None, actor="alice")
    assert balance("alice") == 1000


# draining -------------------------------------------------------------------------------------------------------------


def test_a_drained_network_gives_nothing_new_and_finishes_what_is_in_hand():
    make.make_client()
    machine = worker()
    assignment = given(first := make.make_job())
    assert incidents.drain_all(draining=True, actor="olga", reason="upgrade")
    assert make.beat(machine, assignment)["drain"] is True
    make.submit_answer(assignment, make.right_answer(first))
    assert make.verify(assignment) == "accepted"
    second = make.make_job()
    assert coordination.trigger(actor="olga") == 0
    assert incidents.drain_all(draining=False, actor="olga")
    assert make.beat(machine)["drain"] is False
    assert make.assign(second)
    assert happened("network.drained").reason == "upgrade" and happened("network.undrained")


# secrets --------------------------------------------------------------------------------------------------------------


def test_rotation_voids_every_secret_and_key_and_calls_off_what_is_in_hand(redis_url):
    make.make_client()
    made = workers.register_worker(name="w", gpu_type="RTX 4090", compute_capacity=82.6, stake_amount=150, user=None)
    old = make.enrol(made.enrolment_key)
    leaked = workers.new_enrolment_key(worker=made.worker, actor="somebody")
    assignment = given(job := make.make_job())
    user = redis.Redis.from_url(old["broker_url"])
    assert user.ping()

    keys = incidents.rotate_secrets(actor="olga")

    assert [key.worker for key in keys] == ["w"]
    row = again(made.worker)
    assert (row.secret_sha256, row.broker_secret_sha256, row.enrolled_at) == ("", "", None)
    with pytest.raises((redis.exceptions.AuthenticationError, redis.exceptions.ConnectionError)):
        user.ping()
    with pytest.raises(Forbidden):
        make.enrol(leaked)
    assignment.refresh_from_db()
    job.refresh_from_db()
    assert (assignment.state, assignment.fault, job.state) == ("cancelled", "system", "pending")
    assert Contributor.objects.get().reputation == 100
    new = make.enrol(keys[0].enrolment_key)
    assert new["secret"] != old["secret"] and redis.Redis.from_url(new["broker_url"]).ping()
    assert happened("worker.secrets_rotated") and happened("network.secrets_rotated").reason == "of 1 workers"


def test_one_workers_secrets_are_rotated_alone():
    first, second = make.make_worker("one"), make.make_worker("two")
    keys = incidents.rotate_secrets(actor="olga", worker_name="one")
    assert [key.worker for key in keys] == ["one"]
    assert again(first).enrolled_at is None and again(second).enrolled_at
    with pytest.raises(NotFound):
        incidents.rotate_secrets(actor="olga", worker_name="nobody")
    assert keys[0].enrolment_key not in str(list(EnrolmentKey.objects.values()) + list(Event.objects.values()))


# checking again -------------------------------------------------------------------------------------------------------


def test_answers_are_checked_again_without_touching_money_and_a_difference_is_reported():
    make.make_client(), worker()
    done = [make.run_to_end(make.make_job()) for _ in range(3)]
    forged = Assignment.objects.get(job=done[1]).result
    wrong = storage.path("results", forged.sha256)  # an answer that a broken verifier let through
    moved, verdicts = Transfer.objects.count(), list(Verdict.objects.values())
    make.npz_into(wrong, make.wrong_answer(done[1]))

    rows = reverification.ask(contributor=Contributor.objects.get(), count=10, actor="olga")
    assert {reverification.check(row=row.pk) for row in rows} >= {"rejected"}
    report = reverification.report([row.pk for row in rows])

    same = [job for job in done if Assignment.objects.get(job=job).result.sha256 == forged.sha256]
    assert {row.assignment.job for row in report.differing} == set(same)
    assert (report.asked, report.waiting) == (3, 0)
    assert all((row.before, row.outcome) == ("accepted", "rejected") for row in report.differing)
    assert (Transfer.objects.count(), list(Verdict.objects.values())) == (moved, verdicts)
    assert Contributor.objects.get().reputation == 100
    assert happened("contributor.reverified")


def test_the_newest_answers_are_taken_and_a_lost_file_is_called_missing():
    make.make_client(), worker()
    old, new = [make.run_to_end(make.make_job(reward=reward)) for reward in (10, 20)]
    (row,) = reverification.ask(contributor=Contributor.objects.get(), count=1, actor="olga")
    assert row.assignment_id == Assignment.objects.get(job=new).pk != Assignment.objects.get(job=old).pk
    storage.path("results", Assignment.objects.get(job=new).result.sha256).unlink()
    assert reverification.check(row=row.pk) == "missing"
    assert reverification.check(row=row.pk) == ""
    for count in (0, -1, 1001):
        with pytest.raises(Refused):
            reverification.ask(contributor=Contributor.objects.get(), count=count, actor="olga")


def test_the_coordinator_sends_a_check_once_and_again_when_nobody_did_it():
    make.make_client(), worker()
    make.run_to_end(make.make_job())
    reverification.ask(contributor=Contributor.objects.get(), count=5, actor="olga")
    assert make.is_due("reverifications") and [reverification.send_waiting() for _ in range(2)] == [1, 0]
    assert not make.is_due("reverifications")
    Reverification.objects.update(sent_at="2000-01-01T00:00:00Z")
    assert reverification.send_waiting() == 1


# suspending -----------------------------------------------------------------------------------------------------------


def test_a_suspended_contributor_works_no_more_and_everything_that_it_touched_is_listed(django_user_model):
    eve = django_user_model.objects.create_user("eve")
    make.make_client(), make.make_worker("bystander")
    mine = workers.register_worker(name="mine", gpu_type="A100", compute_capacity=19.5, stake_amount=150, user=eve)
    reply = make.enrol(mine.enrolment_key, "A100")
    Worker.objects.filter(name="bystander").update(is_active=False)
    done = make.run_to_end(make.make_job())
    held = given(job := make.make_job())
    contributor = incidents.find_contributor("eve")

    touched = incidents.suspend_contributor(contributor=contributor, actor="olga", reason="stolen keys")

    counts = touched.counts()
    assert (counts["jobs"], counts["attempts"], counts["verdicts"]) == (2, 2, {"accepted": 1})
    assert (counts["earned"], counts["workers"]) == (50_000_000, 1)
    assert {t.code for t in touched.transfers} == {"mint", "stake", "capture"}
    assert set(touched.datasets) == {done.dataset, job.dataset}
    held.refresh_from_db()
    job.refresh_from_db()
    assert (held.state, job.state, again(mine.worker).is_active) == ("cancelled", "pending", False)
    with pytest.raises((redis.exceptions.AuthenticationError, redis.exceptions.ConnectionError)):
        redis.Redis.from_url(reply["broker_url"]).ping()
    with pytest.raises(Refused, match="suspended"):
        workers.register_worker(name="other", gpu_type="A100", compute_capacity=1, stake_amount=100, user=eve)
    assert "stolen keys" in happened("contributor.suspended").reason

    contributor.refresh_from_db()
    incidents.reinstate_contributor(contributor=contributor, actor="olga")
    assert again(mine.worker).is_active and redis.Redis.from_url(reply["broker_url"]).ping()
    assert happened("contributor.reinstated")


# the command ----------------------------------------------------------------------------------------------------------


def run(*arguments: str, capsys) -> str:
    call_command("incident", "--actor", "olga", *arguments)
    return capsys.readouterr().out


def test_the_command_does_each_deed(capsys):
    make.make_client(), worker()
    job = make.run_to_end(make.make_job())
    assert "Payouts are frozen." in run("--reason", "theft", "freeze", capsys=capsys)
    assert "frozen since" in run("status", capsys=capsys) and Network.objects.get().payouts_frozen_by == "olga"
    assert "thawed" in run("thaw", capsys=capsys)
    run("drain", capsys=capsys), run("undrain", capsys=capsys)
    assert not Network.objects.get().draining
    assert "1 of 1 checked again, 0 differ." in run("reverify", "rtx4090", "--last", "5", capsys=capsys)
    assert str(job.pk) in run("touched", "rtx4090", capsys=capsys)
    assert "inactive" in run("suspend", "rtx4090", capsys=capsys)
    run("reinstate", "rtx4090", capsys=capsys)
    assert Worker.objects.get().is_active
    name, key = run("rotate", "--all", capsys=capsys).splitlines()[1].split("\t")
    assert name == "rtx4090" and make.enrol(key)["worker_id"] == "rtx4090"
