"""A claimed GPU is a claim: challenges from the offer to the mark, and what assigning makes of them."""

import contextlib
import threading
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from marketplace.actions import challenges, coordination, quotes, workers
from marketplace.actions.candidates import candidates
from marketplace.actions.submissions import Submission
from marketplace.domain import measuring
from marketplace.domain.errors import Conflict, NotFound
from marketplace.models import Challenge, Event, Network, Transfer, Worker, database_now
from tests import factories as make
from workers.catalog.backend import NUMPY
from workers.catalog.matrix_rate import OPENED, Run

ROOT = "ab" * 32


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "CPU_SIZE", (64, 16))
    monkeypatch.setattr(measuring, "SETTLE_SECONDS", 0.0)


def open_challenge(worker: Worker) -> Challenge:
    return worker.challenges.get(ended_at=None)


def begin(worker: Worker) -> tuple[Challenge, Run]:
    challenge = open_challenge(worker)
    told = challenges.start(machine=worker, challenge_id=challenge.pk)
    return challenge, Run(bytes.fromhex(told["seed"]), told["n"], told["rounds"], NUMPY)


def finish(worker: Worker, challenge: Challenge, run: Run, took_seconds: float = 0.0):
    """Compute honestly, as if it had taken so long."""
    root = run.root().hex()
    if took_seconds:
        began_at = database_now() - timedelta(seconds=took_seconds)
        Challenge.objects.filter(pk=challenge.pk).update(started_at=began_at)
    columns = challenges.commit(machine=worker, challenge_id=challenge.pk, root=root)["columns"]
    return challenges.open_columns(machine=worker, challenge_id=challenge.pk, opened=run.open(columns))


def measure(worker: Worker, took_seconds: float = 0.0):
    return finish(worker, *begin(worker), took_seconds)


def pass_time(challenge: Challenge, seconds: float) -> None:
    for name in ("created_at", "offered_at", "started_at", "committed_at"):
        if (moment := getattr(challenge, name)) is not None:
            setattr(challenge, name, moment - timedelta(seconds=seconds))
    challenge.save()


@pytest.mark.django_db
def test_an_enrolled_machine_is_measured_and_believed():
    worker = make.make_worker(capacity=1e-4)
    Worker.objects.update(claim_doubted=True)
    assert make.beat(worker)["challenge"] == str(open_challenge(worker).pk)
    outcome = measure(worker)
    worker.refresh_from_db()
    assert outcome["passed"] and not outcome["doubted"] and outcome["rate"] == worker.measured_rate > 0
    assert worker.measured_at is not None and not worker.claim_doubted
    assert "challenge" not in make.beat(worker)
    event = Event.objects.get(kind="worker.measured")
    assert (event.worker, event.before, event.after) == (worker, "doubted", "believed")
    assert "claimed TFLOPS" in event.reason


@pytest.mark.django_db
def test_the_rate_is_the_work_over_the_time_from_seed_to_root():
    worker = make.make_worker()
    outcome = measure(worker, took_seconds=10)
    assert outcome["rate"] == pytest.approx(2 * 64**3 * 16 / 10 / 1e12, rel=0.1)


@pytest.mark.django_db
def test_a_machine_far_below_its_claim_is_doubted_and_loses_neither_stake_nor_reputation():
    worker = make.make_worker(capacity=82.6)
    before = Transfer.objects.count()
    assert measure(worker)["doubted"]
    worker.refresh_from_db()
    assert worker.claim_doubted and worker.measured_rate > 0 and worker.is_active
    assert (worker.contributor.reputation, worker.stake.balance) == (100, 150_000_000)
    assert Transfer.objects.count() == before


@pytest.mark.django_db
def test_a_wrong_opening_fails_and_what_was_shown_before_no_longer_holds():
    worker = make.make_worker(capacity=1e-4)
    Worker.objects.update(measured_rate=5.0)
    challenge, run = begin(worker)
    columns = challenges.commit(machine=worker, challenge_id=challenge.pk, root=run.root().hex())["columns"]
    opened = {leaf: (bytes(64), path) for leaf, (_, path) in run.open(columns).items()}
    outcome = challenges.open_columns(machine=worker, challenge_id=challenge.pk, opened=opened)
    worker.refresh_from_db()
    challenge.refresh_from_db()
    assert (outcome["passed"], challenge.state, worker.claim_doubted, worker.measured_rate) == (
        False,
        "failed",
        True,
        None,
    )
    assert worker.stake.balance == 150_000_000
    assert Event.objects.get(kind="worker.challenge_failed").reason == challenge.reason
    with pytest.raises(Conflict):
        challenges.open_columns(machine=worker, challenge_id=challenge.pk, opened=run.open(columns))


@pytest.mark.django_db
def test_the_columns_are_drawn_after_the_root_and_stay_what_they_are():
    worker = make.make_worker()
    challenge, run = begin(worker)
    challenge.refresh_from_db()
    assert challenge.columns == []
    root = run.root().hex()
    drawn = challenges.commit(machine=worker, challenge_id=challenge.pk, root=root)["columns"]
    assert len(set(drawn)) == OPENED and all(0 <= leaf < 64 for leaf in drawn)
    assert challenges.commit(machine=worker, challenge_id=challenge.pk, root=root)["columns"] == drawn
    with pytest.raises(Conflict, match="Another root"):
        challenges.commit(machine=worker, challenge_id=challenge.pk, root=ROOT)


@pytest.mark.django_db
def test_seeds_are_secret_until_the_clock_starts_and_never_the_same():
    first, second = make.make_worker("a"), make.make_worker("b")
    assert open_challenge(first).seed == ""
    begin(first), begin(second)
    seeds = {open_challenge(worker).seed for worker in (first, second)}
    assert len(seeds) == 2 and all(len(seed) == 32 for seed in seeds)


@pytest.mark.django_db
def test_calls_out_of_turn_and_of_others_are_refused():
    worker, other = make.make_worker("a"), make.make_worker("b")
    challenge = open_challenge(worker)
    for machine, refusal in ((worker, Conflict), (other, NotFound)):
        with pytest.raises(refusal):
            challenges.commit(machine=machine, challenge_id=challenge.pk, root=ROOT)
        with pytest.raises(refusal):
            challenges.open_columns(machine=machine, challenge_id=challenge.pk, opened={})
    with pytest.raises(NotFound):
        challenges.start(machine=other, challenge_id=challenge.pk)
    begin(worker)
    with pytest.raises(Conflict, match="started already"):
        challenges.start(machine=worker, challenge_id=challenge.pk)


@pytest.mark.django_db
def test_no_job_comes_while_a_machine_is_measured_nor_a_measurement_while_it_has_a_job():
    make.make_client()
    worker = make.make_worker()
    challenge, run = begin(worker)
    job = make.make_job()
    assert coordination.assign_pending() == 0
    finish(worker, challenge, run)
    assignment = make.assign(job)
    challenges.issue(worker)
    Challenge.objects.filter(ended_at=None).update(offered_at=database_now())
    assert "challenge" not in make.beat(worker)
    assert open_challenge(worker).offered_at is None, "it is not to blame for working instead"
    with pytest.raises(Conflict, match="a job to do first"):
        begin(worker)
    make.start(assignment)
    make.submit_answer(assignment, make.right_answer(job))
    assert "challenge" in make.beat(worker)


@pytest.mark.django_db
def test_the_columns_need_not_be_opened_before_the_next_job_comes():
    make.make_client()
    worker = make.make_worker()
    challenge, run = begin(worker)
    challenges.commit(machine=worker, challenge_id=challenge.pk, root=run.root().hex())
    make.make_job()
    assert coordination.assign_pending() == 1


@pytest.mark.django_db
def test_a_machine_that_is_never_idle_gets_no_further_job_until_it_is_measured():
    make.make_client()
    worker = make.make_worker()
    pass_time(open_challenge(worker), measuring.PATIENCE_SECONDS + 1)
    make.make_job()
    assert coordination.assign_pending() == 0
    assert "challenge" in make.beat(worker)
    measure(worker)
    assert coordination.assign_pending() == 1


@pytest.mark.django_db
def test_a_machine_that_has_just_come_is_left_to_its_first_jobs(monkeypatch):
    monkeypatch.setattr(measuring, "SETTLE_SECONDS", 10.0)
    worker = make.make_worker()
    assert "challenge" not in make.beat(worker)
    pass_time(open_challenge(worker), 11)
    assert "challenge" in make.beat(worker)


@pytest.mark.django_db
def test_jobs_that_wait_go_first():
    make.make_client()
    worker = make.make_worker()
    make.make_job()
    assert "challenge" not in make.beat(worker)
    with pytest.raises(Conflict, match="a job to do first"):
        begin(worker)
    assert coordination.assign_pending() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("stage", ["waiting", "started", "committed"])
def test_who_does_not_go_through_with_it_is_doubted(stage):
    worker = make.make_worker(capacity=1e-4)
    make.beat(worker)
    if stage != "waiting":
        challenge, run = begin(worker)
    if stage == "committed":
        challenges.commit(machine=worker, challenge_id=challenge.pk, root=run.root().hex())
    challenge = open_challenge(worker)
    assert (challenge.state, challenges.expire()) == (stage, 0)
    pass_time(challenge, 61)
    assert (challenges.expire(), challenges.expire()) == (1, 0)
    worker.refresh_from_db()
    assert worker.claim_doubted and worker.challenges.get().reason.startswith("It did not")


@pytest.mark.django_db
def test_a_root_after_the_time_limit_is_refused():
    worker = make.make_worker()
    challenge, run = begin(worker)
    challenge.refresh_from_db()
    pass_time(challenge, measuring.LIMIT_SECONDS + 1)
    with pytest.raises(Conflict, match="time is up"):
        challenges.commit(machine=worker, challenge_id=challenge.pk, root=run.root().hex())


@pytest.mark.django_db
def test_a_challenge_that_was_never_offered_waits():
    worker = make.make_worker()
    pass_time(open_challenge(worker), 10_000)
    assert challenges.expire() == 0


@pytest.mark.django_db
def test_starting_again_in_the_middle_counts_as_failed_and_brings_another_challenge():
    worker = make.make_worker(capacity=1e-4)
    begin(worker)
    make.enrol("", machine=worker)
    worker.refresh_from_db()
    assert worker.claim_doubted
    assert sorted(worker.challenges.values_list("state", flat=True)) == ["failed", "waiting"]
    make.enrol("", machine=worker)
    assert worker.challenges.count() == 2
    measure(worker)
    worker.refresh_from_db()
    assert not worker.claim_doubted


@pytest.mark.django_db
def test_a_stand_in_is_never_measured():
    make.enrol(workers.standby_key(), "CPU")
    made = workers.register_worker(
        name="w", gpu_type="RTX 4090", compute_capacity=82.6, stake_amount=150, user=None
    ).worker
    measure(Worker.objects.get(standby=True))
    drawn = challenges.draw(database_now(), database_now() - timedelta(days=9999))
    made.refresh_from_db()
    assert (drawn <= 1, made.host is not None, made.challenges.count()) == (True, True, 0)
    assert (made.measured_rate, made.claim_doubted) == (None, False)


@pytest.mark.django_db
def test_draws_come_at_random_as_often_as_the_policy_says(settings, monkeypatch):
    pool = [make.make_worker(f"w{i}") for i in range(3)]
    for worker in pool:
        measure(worker)
    Worker.objects.filter(name="w0").update(claim_doubted=False)
    Worker.objects.exclude(name="w0").update(claim_doubted=True)
    now = database_now()
    monkeypatch.setattr(challenges._random, "random", lambda: 0.001)
    settings.POLICY = settings.POLICY.__class__(challenge_every_seconds=6000)
    assert challenges.draw(now, now - timedelta(seconds=1)) == 2, "the doubted ones are measured sooner"
    assert challenges.draw(now, now - timedelta(seconds=10)) == 1
    assert challenges.draw(now, now - timedelta(seconds=10)) == 0, "each has an open one"
    assert challenges.draw(now, None) == 0


@pytest.mark.django_db
def test_only_idle_machines_that_are_there_are_drawn(monkeypatch):
    make.make_client()
    changes = {"silent": {"last_heartbeat_at": "2000-01-01T00:00:00Z"}, "draining": {"draining": True},
               "suspended": {"is_active": False}, "idle": {}}  # fmt: skip
    for name, change in changes.items():
        Worker.objects.filter(pk=make.make_worker(name).pk).update(**change)
    busy = make.make_worker("busy", "A100", 19.5)
    make.make_job(requirements={"gpu_type": "A100"})
    coordination.assign_pending()
    assert busy.assignments.count() == 1
    Challenge.objects.update(state="passed", ended_at=database_now())
    monkeypatch.setattr(challenges._random, "random", lambda: 0.0)
    now = database_now()
    challenges.draw(now, now - timedelta(seconds=5))
    assert list(Challenge.objects.filter(ended_at=None).values_list("worker__name", flat=True)) == ["idle"]


@pytest.mark.django_db
def test_the_cycle_draws_and_expires(monkeypatch):
    worker = make.make_worker()
    measure(worker)
    monkeypatch.setattr(challenges._random, "random", lambda: 0.0)
    Network.objects.update(last_cycle_at=database_now() - timedelta(seconds=5))
    coordination.run_cycle()
    challenge = open_challenge(worker)
    make.beat(worker)
    challenge.refresh_from_db()
    pass_time(challenge, 61)
    coordination.run_cycle()
    challenge.refresh_from_db()
    assert challenge.state == "failed"


@pytest.mark.django_db
def test_a_policy_of_zero_turns_it_all_off(settings):
    settings.POLICY = settings.POLICY.__class__(challenge_every_seconds=0)
    worker = make.make_worker()
    assert not worker.challenges.exists()
    Challenge.objects.create(worker=worker, n=64, rounds=16, state="started", started_at="2000-01-01T00:00:00Z")
    assert "challenge" not in make.beat(worker)
    coordination.run_cycle()
    assert open_challenge(worker).state == "started"
    make.make_client()
    make.make_job()
    assert coordination.assign_pending() == 1


@pytest.mark.django_db
def test_a_doubted_worker_counts_as_what_it_has_shown():
    make.make_client()
    worker = make.make_worker(capacity=82.6)
    job = make.make_job(requirements={"min_compute_capacity": 50})
    Worker.objects.update(measured_rate=0.2, claim_doubted=True)
    assert coordination.assign_pending() == 0
    Worker.objects.update(measured_rate=None)
    assert coordination.assign_pending() == 0
    Worker.objects.update(measured_rate=40.0, claim_doubted=False)
    assert make.assign(job).worker == worker


@pytest.mark.django_db
def test_of_equals_the_one_with_the_higher_measured_rate_gets_the_job():
    make.make_client()
    for name, rate in (("a", 1.0), ("b", 30.0), ("c", None), ("d", 2.0)):
        Worker.objects.filter(pk=make.make_worker(name).pk).update(measured_rate=rate)
    assignment = make.assign(make.make_job())
    assert assignment.worker.name == "b"
    assert assignment.why["measured_rate"] == 30.0


@pytest.mark.django_db
def test_a_quote_names_the_measured_rates():
    make.make_worker("a")
    Worker.objects.filter(pk=make.make_worker("b").pk).update(measured_rate=30.25)
    answer = quotes.quote(submission=Submission("", "linear_regression", None), user=None)
    assert (answer["workers"], answer["measured_rates"]) == (["a", "b"], {"b": 30.25})


@pytest.mark.django_db
def test_a_cycle_costs_the_same_statements_for_two_measured_machines_and_for_twenty(monkeypatch):
    monkeypatch.setattr(challenges._random, "random", lambda: 0.0)

    def statements(upto: int) -> int:
        for i in range(Worker.objects.count(), upto):
            make.make_worker(f"w{i}")
        Challenge.objects.update(state="passed", ended_at=database_now())
        Worker.objects.update(last_heartbeat_at=database_now())
        now = database_now()
        with CaptureQueriesContext(
            connection,
        ) as found:
            assert challenges.draw(now, now - timedelta(seconds=5)) == upto
            challenges.expire()
            candidates(now)
        return len(found)

    assert statements(2) == statements(20)


@pytest.mark.django_db
def test_a_heartbeat_pays_for_it_with_one_statement(settings):
    worker = make.make_worker()
    measure(worker)

    def statements() -> int:
        worker.refresh_from_db()
        with CaptureQueriesContext(connection) as found:
            make.beat(worker)
        return len(found)

    on = statements()
    settings.POLICY = settings.POLICY.__class__(challenge_every_seconds=0)
    assert on == statements() + 1


def test_a_job_and_a_measurement_that_begin_at_once_never_meet(committed_db):
    """Assigning and starting race on connections of their own; whatever comes first keeps the other out."""
    make.make_client()
    for i in range(12):
        worker = make.make_worker(f"w{i}")
        make.make_job(requirements={"gpu_type": "RTX 4090"})
        challenge = open_challenge(worker)
        barrier = threading.Barrier(2)

        def assigning(barrier=barrier) -> None:
            barrier.wait()
            coordination.assign_pending()
            connections.close_all()

        thread = threading.Thread(target=assigning)
        thread.start()
        barrier.wait()
        with contextlib.suppress(Conflict):
            challenges.start(machine=worker, challenge_id=challenge.pk)
        thread.join()
        challenge.refresh_from_db()
        assert not (challenge.state == "started" and worker.assignments.filter(state="dispatched").exists())
        Worker.objects.filter(pk=worker.pk).update(is_active=False)
