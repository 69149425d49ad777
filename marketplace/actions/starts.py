"""Beginning assignments: a machine says at once which of those that it was given it begins."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction

from marketplace import notifications
from marketplace.actions import live
from marketplace.actions.endings import end_attempt, give_up_attempt
from marketplace.actions.events import record_all
from marketplace.actions.traces import about
from marketplace.domain.errors import Conflict, NotFound, Refused
from marketplace.domain.lifecycle import AssignmentState, Fault, JobState
from marketplace.models import Assignment, Event, Job, Worker, may_receive
from workers.protocol import Specification

logger = logging.getLogger(__name__)

RECEIVES = may_receive(worker="worker", audience="job__resource_class__audience")
OUTSIDE = "This worker is not, or no longer, among those that may receive the data."


def start_all(*, machine: Worker, assignment_ids: Sequence[UUID]) -> list[Specification | Refused]:
    """Begin several assignments, in as many statements as one: their jobs are computing.

    One that cannot be begun keeps none of the others back.

    Returns:
        for each, in the order given, what to compute, or why it was not begun. `NotFound`: it is not this machine's.
        `Conflict`: it was started before (earlier in the list, too), or is dead; or its worker may not receive the
        data any more.
    """
    with transaction.atomic():
        found, now = live.lock_all(machine, set(assignment_ids))
        alive = {pk: each for pk, each in found.items() if live.is_live(each, now, AssignmentState.DISPATCHED)}
        outside = _outside(alive)
        begun = {pk: each for pk, each in alive.items() if pk not in outside}
        if begun:
            _begin(list(begun.values()), now)
    for pk in outside:
        try:
            _take_back(machine, pk)
        except Exception:  # the others are begun, and their machine must hear of it
            logger.exception("Assignment %s could not be taken back and waits for its lease to run out.", pk)
    answers: list[Specification | Refused] = []
    for assignment_id in assignment_ids:
        if assignment := begun.pop(assignment_id, None):
            with about(assignment.job, assignment):
                logger.info("Assignment %s is started by %s.", assignment.pk, assignment.worker_id)
            answers.append(_specification(machine, assignment))
        elif assignment_id in outside:
            answers.append(Conflict(OUTSIDE))
        elif assignment_id in found:
            answers.append(Conflict("The assignment was started already, or is no longer live."))
        else:
            answers.append(NotFound("There is no such assignment."))
    return answers


def _outside(found: Mapping[UUID, Assignment]) -> set[UUID]:
    """Those whose worker may not receive the data."""
    limited = {pk for pk, each in found.items() if each.job.resource_class.audience_id is not None}
    if not limited:
        return set()
    return limited - set(Assignment.objects.filter(RECEIVES, pk__in=limited).values_list("pk", flat=True))


def _take_back(machine: Worker, assignment_id: UUID) -> None:
    """End an attempt whose worker may not receive the data, by itself: it may end its job, which moves tokens."""
    with transaction.atomic():
        found, now = live.lock_all(machine, [assignment_id], whole=True)
        for each in found.values():
            if live.is_live(each, now, AssignmentState.DISPATCHED):
                actor = each.worker.name
                end_attempt(each, AssignmentState.FAILED, actor=actor, reason=OUTSIDE, fault=Fault.SYSTEM)
                give_up_attempt(each.job, fault=Fault.SYSTEM, actor=actor, reason=OUTSIDE)


def _begin(begun: Sequence[Assignment], now: datetime) -> None:
    Assignment.objects.filter(pk__among=[each.pk for each in begun]).update(
        state=AssignmentState.STARTED.value,
        started_at=now,
        lease_expires_at=now + timedelta(seconds=settings.POLICY.lease_seconds),
    )
    Job.objects.filter(pk__among=[each.job_id for each in begun]).update(state=JobState.COMPUTING.value)
    record_all(
        Event(
            kind="job.computing",
            actor=each.worker.name,
            job_id=each.job_id,
            assignment_id=each.pk,
            worker_id=each.worker_id,
            before=each.job.state,
            after=JobState.COMPUTING.value,
        )
        for each in begun
    )
    notifications.changed("jobs", "workers")


def _specification(machine: Worker, assignment: Assignment) -> Specification:
    policy, job = settings.POLICY, assignment.job
    data = job.data
    specification = Specification(
        assignment=str(assignment.pk),
        fence=assignment.fence,
        model=job.model_type,
        params=job.params,
        seed=job.seed,
        matrix={
            "sha256": data.matrix_sha256,
            "size_bytes": data.matrix_bytes,
            "rows": data.rows,
            "columns": data.matrix_columns,
        },
        features=job.fitted_columns,
        target=job.fitted_target,
        limits={
            "seconds": max(policy.time_limit_minimum_seconds, policy.time_limit_factor * job.quoted_seconds),
            "memory_bytes": machine.memory_bytes or policy.worker_memory_bytes,
        },
        heartbeat_seconds=policy.heartbeat_seconds,
    )
    if assignment.worker_id != machine.pk:
        specification["stand_in"] = assignment.worker.name
    return specification
