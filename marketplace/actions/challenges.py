"""Measuring what a worker claims: a challenge at enrolment and at random later, under the database's clock.

`workers.catalog.matrix_rate` says what is computed, how it is checked and the chance of fooling it.
"""

import secrets
import threading
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import BooleanField, Exists, ExpressionWrapper, OuterRef, Q, QuerySet

from marketplace import dispatch, notifications
from marketplace.actions.events import record
from marketplace.actions.expiry import OPEN
from marketplace.actions.locks import keep_assigning_out
from marketplace.domain import measuring
from marketplace.domain.errors import Conflict, NotFound
from marketplace.domain.lifecycle import JobState
from marketplace.models import Assignment, Challenge, Compiled, Job, Worker, database_now
from workers.catalog.matrix_rate import OPENED, SEED_BYTES, fault, leaf_count
from workers.protocol import ChallengeColumns, ChallengeOutcome, ChallengeStart

State = Challenge.State
LONGEST_GAP_SECONDS = 60.0  # that random draws make up for, after the coordinator was away
LAPSED = {
    State.WAITING: "It did not take up the measurement.",
    State.STARTED: "It did not finish in time.",
    State.COMMITTED: "It did not open its columns.",
}
_random = secrets.SystemRandom()
_checking = threading.Lock()  # a check holds up to 130 MB: one at a time in a process


def switched_on() -> bool:
    return settings.POLICY.challenge_every_seconds > 0


def issue(worker: Worker) -> None:
    """A new challenge for `worker`, whose row is locked; one that waits already is enough.

    One that was running ended with the machine's last life. It counts as failed, so that restarting is no way round.
    """
    if not switched_on():
        return
    found = Challenge.objects.filter(worker=worker, ended_at=None).first()
    if found and found.state != State.WAITING:
        _fail(found, f"{worker.name} started again while it was measured.")
    elif found:
        return
    _make([worker])


def _make(workers: Iterable[Worker]) -> None:
    """One challenge each. Of two that would make one for the same worker, one does: a worker has one open challenge."""
    Challenge.objects.bulk_create([_new(worker) for worker in workers], ignore_conflicts=True)


def _new(worker: Worker) -> Challenge:
    on_gpu = worker.device.get("backend", "numpy") != "numpy"
    n, rounds = measuring.size(worker.compute_capacity, on_gpu=on_gpu)
    return Challenge(worker=worker, n=n, rounds=rounds)


def draw(now: datetime, last_at: datetime | None) -> int:
    """Challenge idle workers at random, each once in `challenge_every_seconds` on average. Answers how many.

    A Poisson process: that a worker was measured just now does not keep it from being measured again.
    """
    if not switched_on() or last_at is None:
        return 0
    elapsed = min((now - last_at).total_seconds(), LONGEST_GAP_SECONDS)
    mean = settings.POLICY.challenge_every_seconds
    idle = (
        Worker.objects.filter(host=None, is_active=True, draining=False, enrolled_at__isnull=False)
        .filter(last_heartbeat_at__gte=now - timedelta(seconds=settings.POLICY.silent_after_seconds))
        .exclude(Exists(_in_hand(OuterRef("pk"))))
        .exclude(Exists(Challenge.objects.filter(worker=OuterRef("pk"), ended_at=None)))
    )
    chance = measuring.chance_of_a_draw(elapsed, mean)
    sooner = measuring.chance_of_a_draw(elapsed, mean / measuring.DOUBTED_SOONER)
    drawn = [
        pk
        for pk, doubted in idle.values_list("pk", "claim_doubted")
        if _random.random() < (sooner if doubted else chance)
    ]
    if drawn:
        _make(Worker.objects.in_bulk(drawn).values())
    return len(drawn)


def _in_hand(machine: object):
    return Assignment.objects.filter(Q(worker=machine) | Q(worker__host=machine), state__in=OPEN)


def offered_to(machine: Worker, now: datetime, *, busy: bool) -> str | None:
    """The challenge that a heartbeat's reply to this machine names, where it may begin.

    `offered_at` is since when it may: a machine that got work instead is not blamed for that.
    """
    if not switched_on():
        return None
    waiting = Challenge.objects.filter(worker=machine, state=State.WAITING, ended_at=None)
    ready = ExpressionWrapper(_may_begin(now), output_field=BooleanField())
    found = waiting.annotate(ready=ready).values_list("pk", "offered_at", "ready").first()
    if found is None:
        return None
    challenge, offered_at, may_begin = found
    if busy or not may_begin or machine.why_resting(now) or not machine.is_active:
        if offered_at is not None:
            waiting.update(offered_at=None)
        return None
    if offered_at is None:
        waiting.update(offered_at=now)
    return str(challenge)


def _may_begin(now: datetime) -> Q:
    """Challenges, some seconds old, of machines without a job; while a job waits anywhere, only those older still."""
    settled = Q(created_at__lte=now - timedelta(seconds=measuring.SETTLE_SECONDS))
    late = Q(created_at__lt=now - timedelta(seconds=measuring.PATIENCE_SECONDS))
    nothing_waits = ~Q(Exists(Job.objects.filter(state=JobState.PENDING.value)))
    return ~Q(Exists(_in_hand(OuterRef("worker")))) & (late | settled & nothing_waits)


def measuring_now(now: datetime) -> QuerySet[Challenge]:
    """Challenges whose machines get no job now: they are measured, or have been too busy for it for long."""
    if not switched_on():
        return Challenge.objects.none()
    return _keeping_busy(now - timedelta(seconds=measuring.PATIENCE_SECONDS))


def _keeping_busy(late: datetime) -> QuerySet[Challenge]:
    busy = Q(state=State.STARTED) | Q(state=State.WAITING, created_at__lt=late)
    return Challenge.objects.filter(busy, ended_at=None)


_measured = Compiled(lambda late: _keeping_busy(late).values_list("worker", flat=True), datetime)


def being_measured(now: datetime) -> set[UUID]:
    """The machines of `measuring_now`."""
    return set(_measured(now - timedelta(seconds=measuring.PATIENCE_SECONDS))) if switched_on() else set()


def _find(machine: Worker, challenge_id: UUID) -> Challenge:
    found = Challenge.objects.filter(worker=machine, pk=challenge_id).first()
    if found is None:
        raise NotFound("There is no such challenge.")
    return found


def start(*, machine: Worker, challenge_id: UUID) -> ChallengeStart:
    """The machine learns what to compute, and its clock starts. Until it ends, no job is assigned to it.

    Raises:
        NotFound: it is not this machine's.
        Conflict: there is a job to do first, or the challenge was started before or has lapsed.
    """
    challenge = _find(machine, challenge_id)
    seed = secrets.token_hex(SEED_BYTES)
    with transaction.atomic():
        keep_assigning_out()
        now = database_now()
        live = Challenge.objects.filter(_may_begin(now), pk=challenge.pk, state=State.WAITING, ended_at=None)
        if not live.update(state=State.STARTED, seed=seed, started_at=now):
            raise Conflict("There is a job to do first, or the challenge was started already, or has lapsed.")
        dispatch.wake_coordinator()  # it may have come by while we held its lock
    return {"n": challenge.n, "rounds": challenge.rounds, "seed": seed, "seconds": measuring.LIMIT_SECONDS}


def commit(*, machine: Worker, challenge_id: UUID, root: str) -> ChallengeColumns:
    """The root is in and the clock stops. Which columns to open is drawn only now, from the system's randomness.

    Raises:
        NotFound: it is not this machine's.
        Conflict: it was not started, another root is in, or its time is up.
    """
    now = database_now()  # before anything that could wait: the machine's clock has stopped
    challenge = _find(machine, challenge_id)
    if challenge.state == State.COMMITTED and challenge.root == root:
        return {"columns": challenge.columns}
    if challenge.started_at is None or now - challenge.started_at > timedelta(seconds=measuring.LIMIT_SECONDS):
        raise Conflict("The challenge was not started, or its time is up.")
    columns = sorted(_random.sample(range(leaf_count(challenge.n, challenge.rounds)), OPENED))
    with transaction.atomic():
        live = Challenge.objects.filter(pk=challenge.pk, state=State.STARTED, ended_at=None)
        if not live.update(state=State.COMMITTED, root=root, columns=columns, committed_at=now):
            raise Conflict("Another root is in already, or the challenge has lapsed.")
        dispatch.wake_coordinator()  # the machine is free
    return {"columns": columns}


def open_columns(*, machine: Worker, challenge_id: UUID, opened: Mapping[int, tuple[bytes, bytes]]) -> ChallengeOutcome:
    """Recompute the opened columns, outside of any transaction, and write down what the machine has shown.

    Raises:
        NotFound: it is not this machine's.
        Conflict: no root is in, or the challenge has ended.
    """
    challenge = _find(machine, challenge_id)
    if challenge.state != State.COMMITTED:
        raise Conflict("No root of this challenge is in, or it has ended.")
    seed, root = bytes.fromhex(challenge.seed), bytes.fromhex(challenge.root)
    with _checking:
        wrong = fault(seed, challenge.n, challenge.rounds, root, challenge.columns, opened)
    with transaction.atomic():
        worker = Worker.objects.select_for_update(no_key=True, of=("self",)).get(pk=machine.pk)
        challenge = Challenge.objects.select_for_update(no_key=True, of=("self",)).get(pk=challenge.pk)
        if challenge.ended_at is not None:
            raise Conflict("The challenge has lapsed.")
        return _fail(challenge, wrong) if wrong else _pass(challenge, worker)


def _pass(challenge: Challenge, worker: Worker) -> ChallengeOutcome:
    now = database_now()
    assert challenge.started_at and challenge.committed_at
    seconds = (challenge.committed_at - challenge.started_at).total_seconds()
    rate = measuring.rate(challenge.n, challenge.rounds, seconds)
    doubted = measuring.is_doubtful(rate, worker.compute_capacity, settings.POLICY.claim_share)
    reason = f"{rate:.3g} of {worker.compute_capacity:g} claimed TFLOPS in {seconds:.2f} s"
    Challenge.objects.filter(pk=challenge.pk).update(state=State.PASSED, rate=rate, reason=reason, ended_at=now)
    _write(worker, "worker.measured", rate, now, doubted=doubted, reason=reason)
    return {"passed": True, "rate": rate, "doubted": doubted, "reason": reason}


def _fail(challenge: Challenge, reason: str) -> ChallengeOutcome:
    """Nothing was shown: the claim is doubted and an earlier rate no longer holds. No stake is touched."""
    now = database_now()
    Challenge.objects.filter(pk=challenge.pk).update(state=State.FAILED, reason=reason, ended_at=now)
    worker = Worker.objects.get(pk=challenge.worker_id)
    _write(worker, "worker.challenge_failed", None, now, doubted=True, reason=reason)
    return {"passed": False, "rate": None, "doubted": True, "reason": reason}


def _write(worker: Worker, kind: str, rate: float | None, now: datetime, *, doubted: bool, reason: str) -> None:
    Worker.objects.filter(pk=worker.pk).update(measured_rate=rate, measured_at=now, claim_doubted=doubted)
    words = ("believed", "doubted")
    before, after = words[worker.claim_doubted], words[doubted]
    record(kind, actor="coordinator", worker=worker, before=before, after=after, reason=reason)
    notifications.changed("workers")
    dispatch.wake_coordinator()


def expire() -> int:
    """Fail each challenge that was offered and not taken up, or begun and not ended, in time. Answers how many."""
    due, failed = lapsed(database_now()), 0
    for pk, worker in due.values_list("pk", "worker"):
        with transaction.atomic():
            Worker.objects.select_for_update(no_key=True, of=("self",)).get(pk=worker)
            challenge = due.select_for_update(no_key=True, of=("self",)).filter(pk=pk).first()
            if challenge:
                _fail(challenge, LAPSED[State(challenge.state)])
                failed += 1
    return failed


def lapsed(now: datetime) -> QuerySet[Challenge]:
    """Those whose time is up. None where nothing is measured."""

    def before(seconds: float) -> datetime:
        return now - timedelta(seconds=seconds)

    late = (
        Q(state=State.WAITING, offered_at__lt=before(measuring.OFFER_SECONDS))
        | Q(state=State.STARTED, started_at__lt=before(measuring.LIMIT_SECONDS))
        | Q(state=State.COMMITTED, committed_at__lt=before(measuring.OPEN_SECONDS))
    )
    return Challenge.objects.filter(late, ended_at=None) if switched_on() else Challenge.objects.none()
