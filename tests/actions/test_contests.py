"""Reputation with its reasons, and rejections that contributors contest."""

import pytest
from django.contrib.auth import get_user_model

from marketplace.actions import contests, minting, payouts, settlement, standing, workers
from marketplace.domain.errors import Conflict, InsufficientFunds, NotFound, Refused
from marketplace.models import Contest, Contributor, Event, ReputationChange, Transfer, Verdict, Worker
from tests import factories as make
from tests.actions.rejected import LONG_AGO, answer_wrongly, balance, given, open_contest, reread

pytestmark = pytest.mark.django_db
NOBODY = "00000000-0000-4000-8000-000000000000"


def contest(assignment, note: object = "The answer was right; I ran the check again."):
    return contests.contest(worker_name="rtx4090", assignment_id=assignment.pk, note=note, user=None)


def contested():
    """A worker whose only answer was rejected, and contested."""
    make.make_client()
    make.make_worker()
    wrong = answer_wrongly(make.make_job())
    contest(wrong)
    return wrong


def test_every_move_of_reputation_is_a_row_with_its_reason():
    make.make_client()
    worker = make.make_worker()
    wrong = answer_wrongly(make.make_job())
    right = make.run_to_end(make.make_job(data=make.rows()))
    first, second = ReputationChange.objects.order_by("id")
    assert (first.before, first.after, second.before, second.after) == (100, 90, 90, 90.5)
    assert first.assignment == wrong and "It cost 15 tokens of stake." in first.reason
    assert str(right.pk) in second.reason
    assert {first.actor, second.actor} == {"coordinator"}
    found = reread(worker).contributor
    assert (found.reputation, found.verified, found.rejected) == (90.5, 1, 1)


def test_a_rejection_is_contested_once():
    wrong = contested()
    assert open_contest(wrong).opened_by == "rtx4090"
    with pytest.raises(Conflict):
        contest(wrong)
    assert Contest.objects.count() == 1


@pytest.mark.parametrize("note", ["", "   ", "x" * 2001, None, 5])
def test_a_contest_needs_a_note(note):
    make.make_client()
    make.make_worker()
    wrong = answer_wrongly(make.make_job())
    with pytest.raises(Refused, match="note must say"):
        contest(wrong, note)
    assert not Contest.objects.exists()


def test_a_rejection_is_not_contested_too_late(monkeypatch):
    make.make_client()
    make.make_worker()
    wrong = answer_wrongly(make.make_job())
    created_at = Verdict.objects.get(assignment=wrong).created_at
    later = created_at + (created_at - LONG_AGO)
    monkeypatch.setattr("marketplace.actions.contests.database_now", lambda: later)
    with pytest.raises(Refused, match="is over"):
        contest(wrong)


def test_what_was_not_rejected_is_not_contested():
    make.make_client()
    make.make_worker()
    job = make.run_to_end(make.make_job())
    with pytest.raises(NotFound):
        contest(job.assignments.get())
    with pytest.raises(NotFound):
        contests.contest(worker_name="rtx4090", assignment_id=NOBODY, note="x", user=None)


def test_anothers_rejection_is_not_contested(settings, django_user_model):
    make.make_client()
    make.make_worker()
    wrong = answer_wrongly(make.make_job())
    make.make_worker("other")
    with pytest.raises(NotFound):
        contests.contest(worker_name="other", assignment_id=wrong.pk, note="x", user=None)
    settings.SANDBOX = False
    with pytest.raises(NotFound):
        contests.contest(
            worker_name="rtx4090", assignment_id=wrong.pk, note="x", user=django_user_model.objects.create_user("eve")
        )


def test_an_upheld_rejection_stands():
    wrong = contested()
    contests.uphold(contest_id=open_contest(wrong).pk, actor="olga", note="The check fails here too.")
    decided = open_contest(wrong)
    assert (decided.outcome, decided.decided_by) == ("upheld", "olga")
    assert (balance("rtx4090", "stake"), reread(wrong.worker).contributor.reputation) == (135, 90)
    with pytest.raises(Conflict):
        contests.overturn(contest_id=decided.pk, actor="olga")


def test_an_overturned_rejection_gives_back_stake_and_reputation_by_new_rows():
    wrong = contested()
    make.make_worker("second")
    make.run_to_end(wrong.job)
    treasury_grant(10)
    before = Transfer.objects.count()
    assert contests.overturn(contest_id=open_contest(wrong).pk, actor="olga", note="Our mistake.") == 15_000_000
    assert (balance("rtx4090", "stake"), balance("alice"), balance("treasury", "treasury")) == (150, 957.5, 2.5)
    assert Transfer.objects.count() == before + 1, "the slash itself stays"
    found = reread(wrong.worker).contributor
    assert (found.reputation, found.rejected) == (100, 0)
    newest = ReputationChange.objects.first()
    assert (newest.before, newest.after, newest.actor) == (90, 100, "olga")
    assert "overturned" in newest.reason
    assert Verdict.objects.get(assignment=wrong).outcome == "rejected", "the verdict itself stays"
    assert Event.objects.filter(kind="contest.overturned", actor="olga", reason="Our mistake.").exists()


def treasury_grant(amount: float) -> None:
    minting.mint(amount=amount, reason="to bear mistakes", actor="olga")


def test_a_rejection_is_overturned_once():
    wrong = contested()
    treasury_grant(100)
    contests.overturn(contest_id=open_contest(wrong).pk, actor="olga")
    with pytest.raises(Conflict):
        contests.overturn(contest_id=open_contest(wrong).pk, actor="olga")
    assert balance("rtx4090", "stake") == 150
    with pytest.raises(Conflict):
        contest(wrong)


def test_a_treasury_that_cannot_bear_it_leaves_the_contest_open():
    wrong = contested()
    with pytest.raises(InsufficientFunds, match="treasury has 7.5 tokens"):
        contests.overturn(contest_id=open_contest(wrong).pk, actor="olga")
    assert open_contest(wrong).outcome == "open"
    assert (balance("rtx4090", "stake"), reread(wrong.worker).contributor.reputation) == (135, 90)


def test_an_overturn_gives_back_what_the_rejection_took_and_no_more():
    make.make_client()
    worker = make.make_worker()
    make.set_reputation(4)
    wrong = answer_wrongly(make.make_job())
    contest(wrong)
    treasury_grant(100)
    contests.overturn(contest_id=open_contest(wrong).pk, actor="olga")
    assert reread(worker).contributor.reputation == 4


def nearly_lost(*names: str):
    """Workers of one contributor whose first has its last rejection before it is out, and contests it."""
    make.make_client()
    owner = get_user_model().objects.create_user("owner")
    first = make.make_worker(user=owner)
    make.set_reputation(55)
    for name in names:
        make.make_worker(name, user=owner)
    Worker.objects.exclude(pk=first.pk).update(draining=True)
    wrong = answer_wrongly(make.make_job(reward=5))
    contest(wrong)
    treasury_grant(100)
    return wrong


def test_an_overturn_reinstates_all_workers_that_the_rejection_took_out():
    wrong = nearly_lost("sister")
    assert not Worker.objects.filter(is_active=True).exists()
    contests.overturn(contest_id=open_contest(wrong).pk, actor="olga")
    assert Worker.objects.filter(is_active=True).count() == 2
    assert Event.objects.filter(kind="worker.reinstated", actor="olga").count() == 2


def test_an_overturn_leaves_a_worker_out_that_an_operator_suspended():
    wrong = nearly_lost("sister")
    sister = Worker.objects.get(name="sister")
    workers.set_active(worker=sister, active=True, actor="olga", reason="a second chance")
    workers.set_active(worker=sister, active=False, actor="olga", reason="and done with it")
    contests.overturn(contest_id=open_contest(wrong).pk, actor="olga")
    assert [worker.name for worker in Worker.objects.filter(is_active=True)] == ["rtx4090"]


def test_an_overturn_that_leaves_the_reputation_too_low_reinstates_nobody():
    wrong = nearly_lost()
    make.set_reputation(20)
    contests.overturn(contest_id=open_contest(wrong).pk, actor="olga")
    assert not reread(wrong.worker).is_active


def test_reputation_stays_between_zero_and_a_hundred():
    make.make_client()
    worker = make.make_worker()
    make.run_to_end(make.make_job())
    assert reread(worker).contributor.reputation == 100
    make.set_reputation(3)
    answer_wrongly(make.make_job(data=make.rows()))
    assert reread(worker).contributor.reputation == 0


def test_a_contributor_of_low_reputation_registers_no_new_worker(django_user_model):
    eve = django_user_model.objects.create_user("eve")
    enlist = {"gpu_type": "RTX 4090", "compute_capacity": 82.6, "stake_amount": 150, "user": eve}
    workers.register_worker(name="first", **enlist)
    make.set_reputation(49.5)
    with pytest.raises(Refused, match="reputation of eve is 49.5"):
        workers.register_worker(name="second", **enlist)
    assert Worker.objects.count() == 1


def test_ones_own_jobs_earn_no_reputation_but_cost_it(django_user_model):
    make.make_client()
    worker = make.make_worker()
    user = django_user_model.objects.create_user("alice")
    Contributor.objects.update(user=user)
    make.set_reputation(80)
    job = make.make_job()
    job.client.user = user
    job.client.save()
    make.run_to_end(job)
    assert reread(worker).contributor.reputation == 80
    assert ReputationChange.objects.count() == 1, "the one that this test began with"
    answer_wrongly(make.make_job(data=make.rows()))
    assert reread(worker).contributor.reputation == 70


def test_deactivation_waits_for_nothing_but_a_score_below_the_least():
    make.make_client()
    worker = make.make_worker()
    assert standing.deactivate_below_minimum(worker.contributor, 50) == []
    assert reread(worker).is_active
    assert [each.pk for each in standing.deactivate_below_minimum(worker.contributor, 49.99)] == [worker.pk]
    assert not reread(worker).is_active


def test_an_assignment_in_hand_is_still_settled_after_a_contest_elsewhere():
    wrong = contested()
    make.make_worker("second")
    assignment = given(wrong.job)
    treasury_grant(100)
    contests.overturn(contest_id=open_contest(wrong).pk, actor="olga")
    make.submit_answer(assignment, make.right_answer(wrong.job))
    assert make.verify(assignment) == "accepted"


def test_a_rejection_that_is_held_is_taken_back_only_once_it_has_its_effect():
    make.make_client()
    worker = make.make_worker()
    job = make.make_job()
    wrong = given(job)
    make.submit_answer(wrong, make.wrong_answer(job))
    payouts.freeze(actor="olga", reason="to look")
    assert make.verify(wrong) == "held"
    contest(wrong)
    with pytest.raises(Conflict, match="thawed"):
        contests.overturn(contest_id=open_contest(wrong).pk, actor="olga")
    payouts.thaw(actor="olga")
    assert settlement.settle_held() == 1
    treasury_grant(10)
    assert contests.overturn(contest_id=open_contest(wrong).pk, actor="olga")
    assert reread(worker).contributor.reputation == 100
