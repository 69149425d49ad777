"""The coordination cycle: expire, assign, and send again what was lost. Safe to run twice at once."""

import logging
import math
import random
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from marketplace import broker, dispatch, notifications
from marketplace.actions import (
    agenda,
    books,
    challenges,
    expiry,
    grants,
    making,
    notices,
    once,
    records,
    reverification,
    settlement,
    stakes,
    tallies,
    uploads,
)
from marketplace.actions.candidates import candidates
from marketplace.actions.events import record
from marketplace.actions.locks import try_assigning
from marketplace.actions.picks import write_picks
from marketplace.actions.turns import Turns
from marketplace.domain.lifecycle import AssignmentState, JobState
from marketplace.domain.matching import Candidate, Demand, Waiting, match, service_order, shortfall
from marketplace.domain.money import MAX_MICRO
from marketplace.models import Assignment, Compiled, DatabaseNow, Job, Matrix, Network, ResourceClass, database_now

logger = logging.getLogger(__name__)

PAST = 50  # jobs at least that are looked at behind as many as there are free workers
_turns = Turns()
LOOKED_AT = ("attempt", "reward", "quoted_seconds", "virtual_start", "submitted_at", "request_id", "resource_class")


@dataclass(frozen=True)
class Cycle:
    """What one cycle did."""

    expired: int
    assigned: int
    sent_again: int
    rechecked: int


def run_cycle(*, assign: bool | None = None) -> Cycle:
    """Do once whatever is due. `assign` forces or forbids assigning; None leaves it to the switch."""
    previous, now = Network.objects.values_list("last_cycle_at", DatabaseNow()).get(pk=1)
    due = agenda.look(now, previous)

    def run(what: str, step: Callable[[], Any]) -> Any:
        return step() if due[what] else 0

    expired = run("leases", expiry.expire_leases) + run("deadlines", expiry.expire_deadlines)
    run("unbondings", stakes.release_due)
    run("grants", grants.pay_due)
    settled = run("held_verdicts", settlement.settle_held)
    run("reverifications", reverification.send_waiting)
    assigned = 0
    if assign or (assign is None and (due["jobs"] or expired or settled)):
        assigned = assign_pending() if assign else assign_if_active()
    run("challenges", challenges.expire)  # after assigning: a job must not wait for it
    challenges.draw(now, previous)
    broker.restore_users()
    run("keys", once.forget_old)
    run("tally", tallies.take)
    if due["records"] or expired or settled:
        records.take(previous)
    run("uploads", uploads.send_waiting)
    run("matrices", making.send_waiting)
    run("books", books.ask_due)
    run("notices", lambda: notices.run_due(previous))
    cycle = Cycle(expired, assigned, run("lost", expiry.resend_lost), run("unsettled", expiry.recheck_unsettled))
    Network.objects.filter(pk=1).update(last_cycle_at=DatabaseNow())
    return cycle


def set_active(*, active: bool, actor: str) -> None:
    """Turn auto-coordination on or off. It governs assigning alone."""
    with transaction.atomic():
        Network.objects.filter(pk=1).update(coordination_active=active, switched_at=database_now(), switched_by=actor)
        record("network.started" if active else "network.stopped", actor=actor)
        notifications.changed("network")
        if active:
            dispatch.wake_coordinator()


def trigger(*, actor: str) -> int:
    """Expire and assign once, whatever the switch says. Answers how many jobs were assigned."""
    expiry.expire_leases()
    expiry.expire_deadlines()
    assigned = assign_pending()
    record("network.triggered", actor=actor, reason=f"{assigned} assigned")
    return assigned


def assign_when_woken() -> int:
    """What a wake does: assign, if the switch is on. Sweeping is left to the beat's cycle."""
    return _turns.take(assign_if_active)


def assign_if_active() -> int:
    """Assign, if the switch is on."""
    dispatch.heed_wake()
    return assign_pending(if_active=True)


def assign_pending(*, if_active: bool = False) -> int:
    """Give pending jobs to free workers, in batches of one short transaction each, until nothing fits."""
    total, more = 0, True
    while more:
        assigned, more = _assign_batch(if_active)
        total += assigned
    return total


def _assign_batch(if_active: bool) -> tuple[int, bool]:
    """How many it assigned, and whether another batch may find more."""
    with transaction.atomic():
        if not try_assigning():
            transaction.on_commit(dispatch.wake_again)
            return 0, False
        now = database_now()
        (network,) = _network()
        if network.draining or (if_active and not network.coordination_active):
            return 0, False
        classes = _waiting_classes(now)
        if not classes:
            return 0, False
        workers = candidates(now, {each.audience_id for each in classes})
        rows, demands, more = _waiting_rows(classes, workers, now)
        jobs = _as_waiting(rows, demands)
        picks, worker_virtual_time = match(
            service_order(jobs),
            workers,
            random.Random(),  # breaks ties, no more
            virtual_time=network.worker_virtual_time,
            newcomer_share=settings.POLICY.newcomer_share,
        )
        if not picks:
            return 0, False
        write_picks(picks, {str(job.pk): job for job in rows}, now)
        starts = {job.id: job.virtual_start for job in jobs}
        Network.objects.filter(pk=1).update(
            virtual_time=max([network.virtual_time, *(starts[pick.job] for pick in picks)]),
            worker_virtual_time=worker_virtual_time,
        )
        notifications.changed("jobs", "workers", "network")
    return len(picks), more


def _pending(now: datetime) -> QuerySet[Job]:
    """Those whose data are ready: a matrix that is still being made keeps its jobs waiting."""
    made_later = Matrix.objects.filter(state=Matrix.State.MAKING)
    return Job.objects.filter(state=JobState.PENDING.value, deadline_at__gt=now).exclude(matrix__in=made_later)


_network = Compiled(lambda: Network.objects.filter(pk=1))
_waiting_classes = Compiled(
    lambda now: ResourceClass.objects.filter(Exists(_pending(now).filter(resource_class=OuterRef("pk")))), datetime
)


@cache
def _first_waiting(limit: int) -> Compiled[Job]:
    """The first so many of a class whose reward is at most so much, locked."""

    def build(resource_class: int, covered: int, now: datetime) -> QuerySet[Job]:
        rows = _pending(now).filter(resource_class=resource_class, reward__lte=covered).order_by("virtual_start")
        return rows.only(*LOOKED_AT).select_for_update(no_key=True, skip_locked=True, of=("self",))[:limit]

    return Compiled(build, int, int, datetime)


def demand_of(need: ResourceClass) -> Demand:
    return Demand(need.gpu_tag, need.min_memory_bytes, need.min_compute_capacity, need.audience_id)


def _waiting_rows(
    classes: list[ResourceClass], workers: list[Candidate], now: datetime
) -> tuple[list[Job], dict[int, Demand], bool]:
    """The next jobs of each class that some free worker meets, whatever the backlog, locked; and are there more?

    Of each class as many as workers are free for it, and some more, for those that a free worker may not have. Jobs
    whose reward no free worker's stake covers are passed over, however many, and a class whose next jobs bar every free
    worker does not keep the others back.
    """
    free = [w for w in workers if w.online and not w.busy and w.free_slots > 0]
    jobs: list[Job] = []
    demands: dict[int, Demand] = {}
    more = False
    for each in classes:
        demand = demand_of(each)
        fit = [worker for worker in free if not shortfall(demand, worker)]
        if not fit:
            continue
        demands[each.pk] = demand
        limit = PAST * (1 + math.ceil(min(len(fit), settings.POLICY.batch) / PAST))  # few limits, few statements
        covered = min(max(worker.exposure_left for worker in fit), MAX_MICRO)
        found = _first_waiting(limit)(each.pk, covered, now)
        jobs += found
        more = more or len(found) == limit
    jobs.sort(key=lambda job: job.submitted_at)
    return jobs, demands, more


def _as_waiting(jobs: list[Job], demands: Mapping[int, Demand]) -> list[Waiting]:
    tried: dict[Any, dict[str, set[str]]] = defaultdict(lambda: {"barred": set(), "tried_by": set()})
    again = [job.pk for job in jobs if job.attempt]
    if again:
        for job, worker, state in Assignment.objects.filter(job__in=again).values_list("job", "worker", "state"):
            kind = "barred" if state == AssignmentState.REJECTED.value else "tried_by"
            tried[job][kind].add(str(worker))
    return [
        Waiting(
            id=str(job.pk),
            demand=demands[job.resource_class_id],
            reward=job.reward,
            quoted_seconds=job.quoted_seconds,
            virtual_start=job.virtual_start,
            barred=frozenset(tried[job.pk]["barred"]),
            tried_by=frozenset(tried[job.pk]["tried_by"]),
        )
        for job in jobs
    ]
