"""What it costs to abuse the market: spam, dear checks for little, no-shows, self-dealing, stake on the run."""

import dataclasses
from datetime import timedelta

import numpy as np
import pytest
from django.contrib.auth import get_user_model

from marketplace.actions import assignments, coordination, jobs, no_shows, pulse, quotes, stakes
from marketplace.actions.submissions import Submission
from marketplace.domain.errors import Gone, Refused
from marketplace.domain.policy import Policy
from marketplace.domain.pricing import reward_floor
from marketplace.models import (
    Assignment,
    Client,
    Contributor,
    Dataset,
    Job,
    Network,
    Transfer,
    Unbonding,
    Worker,
    database_now,
)
from tests import factories as make
from tests.actions.stored import files

pytestmark = pytest.mark.django_db
MICRO = 1_000_000


@pytest.fixture
def policy(settings):
    def change(**numbers):
        settings.POLICY = dataclasses.replace(settings.POLICY, **numbers)

    return change


# Job spam, and costly checks bought cheaply


def test_a_small_job_may_pay_next_to_nothing():
    assert reward_floor(matrix_bytes=200_000, quoted_seconds=0.06, policy=Policy()) == 1
    make.make_client()
    assert make.make_job(reward=1, data=make.rows()).reward == MICRO


def test_the_least_reward_grows_with_the_data():
    small, large = (reward_floor(matrix_bytes=n, quoted_seconds=0, policy=Policy()) for n in (10**9, 10**10))
    assert 0.99 * MICRO < small < MICRO and 9.9 * MICRO < large < 10 * MICRO


def test_the_least_reward_covers_the_quoted_cost_of_the_check():
    for seconds in (11, 101, 10_001):
        floor = reward_floor(matrix_bytes=0, quoted_seconds=seconds, policy=Policy())
        assert floor == round((seconds - 1) * Policy().floor_per_check_second * MICRO)


def test_a_job_below_its_floor_is_refused_holds_nothing_and_leaves_no_file(policy):
    policy(floor_per_gigabyte=1e6)
    make.make_client()
    before = files()
    rows = np.random.default_rng(77).normal(size=(20_000, 20)).round(2).tolist()
    with pytest.raises(Refused, match="reward must be at least"):
        make.make_job(reward=1, data=rows)
    assert not Job.objects.exists() and not Dataset.objects.exists()
    assert files() == before
    quote = quotes.quote(submission=Submission(client_address="alice", model_type="pca_analysis", data=rows), user=None)
    assert quote["suggested_reward"] >= quote["least_reward"] > 1


def test_a_client_may_have_so_many_open_jobs_and_no_more(policy):
    policy(open_jobs_per_client=3)
    make.make_client()
    make.make_client("bob")
    make.make_worker()
    first = make.make_job(reward=1)
    make.make_job(reward=1)
    make.make_job(reward=1)
    with pytest.raises(Refused, match="3 open jobs"):
        make.make_job(reward=1)
    assert make.make_job("bob", reward=1).state == "pending"
    jobs.cancel(job_id=first.pk, user=None, actor="alice")
    assert make.make_job(reward=1).state == "pending"


def test_open_jobs_make_so_many_different_demands_and_no_more(policy):
    """Each is matched by itself: thousands would hold up everybody's jobs until their leases had run out."""
    policy(open_demands_per_client=2)
    make.make_client()
    make.make_client("bob")
    data = make.make_job(reward=1, requirements={"min_memory_bytes": 1}).dataset_id
    make.make_job(reward=1, requirements={"min_memory_bytes": 2})
    with pytest.raises(Refused, match="3 different demands of workers, and 2 is the most"):
        make.make_job(reward=1, requirements={"min_memory_bytes": 3})
    assert make.make_job(reward=1, requirements={"min_memory_bytes": 1}).state == "pending"
    asked = [
        Submission(
            client_address="bob",
            model_type="linear_regression",
            reward=1,
            dataset=data,
            requirements={"min_memory_bytes": size},
        )
        for size in (1, 2, 3)
    ]
    with pytest.raises(Refused, match="3 different demands"):
        jobs.submit_many(submissions=asked, user=None)
    assert len(jobs.submit_many(submissions=asked[:2], user=None)) == 2


def test_several_clients_of_one_user_share_the_cap(policy):
    policy(open_jobs_per_client=1)
    user = get_user_model().objects.create_user("spammer")
    for name in ("one", "two"):
        client = make.make_client(name)
        client.user = user
        client.save()
    make.make_job("one", reward=1)
    with pytest.raises(Refused, match="1 open job"):
        make.make_job("two", reward=1)


# Workers that take and never finish


def silent_while_computing(heard: bool = True) -> Assignment:
    """An assignment that was started and whose lease ran out, while the web process was there."""
    make.make_client()
    make.make_worker(stake=150)
    assignment = make.assign(make.make_job(reward=50))
    make.start(assignment)
    Assignment.objects.filter(pk=assignment.pk).update(lease_expires_at=database_now() - timedelta(seconds=1))
    Network.objects.update(web_seen_at=database_now() if heard else None)
    return assignment


def standing() -> tuple[int, float]:
    worker = Worker.objects.select_related("stake", "contributor").get()
    return worker.stake.balance, worker.contributor.reputation


def test_a_worker_that_falls_silent_while_computing_pays_a_little():
    silent_while_computing()
    assert coordination.run_cycle(assign=False).expired == 1
    assert standing() == (148_500_000, 99)
    assert Transfer.objects.get(code="slash").amount == 1_500_000
    assert Job.objects.get().state == "pending"
    coordination.run_cycle(assign=False)
    assert Transfer.objects.filter(code="slash").count() == 1


def test_a_no_show_costs_at_most_the_reward():
    make.make_client()
    make.make_worker(stake=150)
    assignment = make.assign(make.make_job(reward=0.25))
    make.start(assignment)
    Assignment.objects.update(lease_expires_at=database_now() - timedelta(seconds=1))
    Network.objects.update(web_seen_at=database_now())
    coordination.run_cycle(assign=False)
    assert standing()[0] == 149_750_000


def test_no_shows_again_and_again_take_a_contributor_out_of_the_market():
    silent_while_computing()
    make.set_reputation(50)
    coordination.run_cycle(assign=False)
    assert not Worker.objects.get().is_active


def test_a_worker_that_never_began_pays_nothing():
    make.make_client()
    make.make_worker(stake=150)
    make.assign(make.make_job())
    Assignment.objects.update(lease_expires_at=database_now() - timedelta(seconds=1))
    Network.objects.update(web_seen_at=database_now())
    assert coordination.run_cycle(assign=False).expired == 1
    assert standing() == (150_000_000, 100)


def test_an_announced_hand_back_is_no_no_show():
    make.make_client()
    worker = make.make_worker(stake=150)
    assignment = make.assign(make.make_job())
    make.start(assignment)
    Network.objects.update(web_seen_at=database_now())
    assignments.fail(machine=worker, assignment_id=assignment.pk, fence=assignment.fence, fault="system", error="Ends.")
    coordination.run_cycle(assign=False)
    assert standing() == (150_000_000, 100)


def test_a_draining_worker_that_falls_silent_pays_nothing():
    silent_while_computing()
    Worker.objects.update(draining=True)
    assert coordination.run_cycle(assign=False).expired == 1
    assert standing() == (150_000_000, 100)


def test_nobody_pays_where_no_web_process_vouches_that_it_was_there():
    silent_while_computing(heard=False)
    assert coordination.run_cycle(assign=False).expired == 1
    assert standing() == (150_000_000, 100)


def test_no_lease_runs_out_while_the_web_process_is_away_and_all_move_forward_when_it_is_back():
    assignment = silent_while_computing()
    started, gone = database_now(), timedelta(seconds=60)
    Assignment.objects.update(lease_expires_at=started - gone + timedelta(seconds=15))
    Network.objects.update(web_seen_at=started - gone)
    assert coordination.run_cycle(assign=False).expired == 0, "it could not have renewed its lease"
    assert 60 <= pulse.note_web_alive() < 70
    assert coordination.run_cycle(assign=False).expired == 0, "it has what was left of its lease"
    assignment.refresh_from_db()
    assert 10 < (assignment.lease_expires_at - database_now()).total_seconds() < 17
    assert make.beat(assignment.worker, assignment)["cancel"] == []
    assert standing() == (150_000_000, 100)


def test_a_lease_that_had_run_out_before_the_web_process_went_away_stays_dead():
    silent_while_computing()
    Network.objects.update(web_seen_at=database_now() - timedelta(seconds=60))
    Assignment.objects.update(lease_expires_at=database_now() - timedelta(seconds=90))
    pulse.note_web_alive()
    assert coordination.run_cycle(assign=False).expired == 1


def test_nobody_pays_where_all_machines_fell_silent_at_once():
    silent_while_computing()
    make.make_worker("other", stake=100)
    Worker.objects.filter(name="other").update(last_heartbeat_at=database_now() - timedelta(seconds=40))
    assignment = Assignment.objects.select_related("worker__host", "job").get()
    assert no_shows.charge(assignment.job, assignment) == []
    assert not Transfer.objects.filter(code="slash").exists()
    Worker.objects.filter(name="other").update(last_heartbeat_at=database_now())
    no_shows.charge(assignment.job, assignment)
    assert Transfer.objects.filter(code="slash").exists()


# Self-dealing


def self_dealt(reward: float) -> Job:
    return make.run_to_end(make.make_job(reward=reward))


def test_jobs_of_ones_own_earn_no_reputation_and_do_not_move_the_suggested_reward():
    client, worker = make.make_client(balance=10_000), make.make_worker()
    make.set_reputation(60)
    asked = Submission(client_address="alice", model_type="linear_regression")
    honest = quotes.quote(submission=asked, user=None)["suggested_reward"]
    user = get_user_model().objects.create_user("both")
    Client.objects.filter(pk=client.pk).update(user=user)
    Contributor.objects.filter(pk=worker.contributor_id).update(user=user)
    for _ in range(3):
        assert self_dealt(900).state == "verified"
    assert Contributor.objects.get().reputation == 60 and Contributor.objects.get().verified == 0
    assert quotes.quote(submission=asked, user=None)["suggested_reward"] == honest


# Stake withdrawn ahead of a slash


def test_stake_on_its_way_out_is_still_reached_by_a_slash():
    make.make_client()
    worker = make.make_worker(stake=200)
    assignment = make.assign(make.make_job(reward=50))
    make.start(assignment)
    stakes.unstake(name=worker.name, amount=100, user=None)
    make.submit_answer(assignment, make.wrong_answer(assignment.job))
    assert make.verify(assignment) == "rejected"
    slashed = sum(Transfer.objects.filter(code="slash").values_list("amount", flat=True))
    assert slashed == 20 * MICRO, "a tenth of all that was at stake when the job was taken"


def test_stake_does_not_come_out_while_an_answer_is_unsettled():
    make.make_client()
    worker = make.make_worker(stake=200)
    unbonding = stakes.unstake(name=worker.name, amount=100, user=None)
    assignment = make.assign(make.make_job(reward=50))
    make.start(assignment)
    Assignment.objects.update(created_at=database_now() - timedelta(hours=1))
    with make.without_guards():
        Unbonding.objects.filter(pk=unbonding.pk).update(release_at=database_now() - timedelta(seconds=1))
    assert stakes.release_due() == 0
    make.submit_answer(assignment, make.right_answer(assignment.job))
    make.verify(assignment)
    assert stakes.release_due() == 1


# Replays


def test_an_answer_to_a_dead_assignment_opens_nothing_and_leaves_no_file():
    assignment = silent_while_computing()
    coordination.run_cycle(assign=False)
    before = files()
    with pytest.raises(Gone):
        make.submit_answer(assignment, make.right_answer(assignment.job))
    assert files() == before


def test_the_same_answer_twice_pays_once():
    make.make_client()
    make.make_worker()
    assignment = make.assign(make.make_job(reward=50))
    make.start(assignment)
    answer = make.right_answer(assignment.job)
    make.submit_answer(assignment, answer)
    assert make.verify(assignment) == "accepted"
    make.submit_answer(assignment, answer)
    assert make.verify(assignment) == ""
    assert Transfer.objects.filter(code="capture").count() == 1
