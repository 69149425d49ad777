"""What a contributor's machine does with an assignment. Every change is fenced: it matches a live row or nothing."""

import hashlib
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any, BinaryIO
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from marketplace import dispatch, notifications, storage
from marketplace.actions import copies
from marketplace.actions.checking import is_small
from marketplace.actions.endings import end_attempt, give_up_attempt
from marketplace.actions.events import record
from marketplace.actions.heartbeats import of_machine
from marketplace.actions.locks import hold_machines, hold_matrix
from marketplace.actions.traces import about
from marketplace.domain.errors import Conflict, Gone, NotFound, Refused
from marketplace.domain.lifecycle import AssignmentState, Fault, JobState
from marketplace.models import Assignment, Job, Result, Worker, database_now, may_receive
from marketplace.verification.answers import bytes_max
from workers.catalog import MODELS
from workers.protocol import Specification

logger = logging.getLogger(__name__)

MAX_REASON = 500
RECEIVES = may_receive(worker="worker", audience="job__resource_class__audience")
OUTSIDE = "This worker is not, or no longer, among those that may receive the data."


def _of(machine: Worker, assignment_id: UUID) -> QuerySet[Assignment]:
    """The machine's assignment of that id, with its job, data (but for what describes their columns) and worker."""
    rows = Assignment.objects.filter(of_machine(machine), pk=assignment_id)
    rows = rows.select_related("job__dataset", "job__matrix", "job__resource_class", "worker")
    return rows.defer("job__dataset__columns", *(f"job__matrix__{name}" for name in ("columns", "layout", "recipe")))


def _find(machine: Worker, assignment_id: UUID) -> Assignment:
    found = _of(machine, assignment_id).first()
    if found is None:
        raise NotFound("There is no such assignment.")
    return found


def _lock_live(
    machine: Worker, assignment_id: UUID, fence: int | None, *states: AssignmentState
) -> tuple[Assignment, datetime]:
    """The assignment as it is once its job is locked, in one of `states` and under its lease; and the time.

    The clock is read after the lock is held: a statement that waited must not take a dead lease for a live one.
    Without a `fence` the assignment's own is meant.

    Raises:
        NotFound: it is not this machine's.
        Gone: it is dead, or the fence is not its own.
    """
    rows = _of(machine, assignment_id)
    if not list(Job.objects.select_for_update(no_key=True).filter(pk__in=rows.values("job")).values_list("pk")):
        raise NotFound("There is no such assignment.")
    found, now = rows.get(), database_now()
    fenced = found.fence == found.job.attempt and fence in (None, found.fence)
    if not fenced or found.state not in states or min(found.lease_expires_at, found.job.deadline_at) < now:
        raise Gone("The assignment is dead: it was answered, cancelled or given to another worker.")
    return found, now


def start(*, machine: Worker, assignment_id: UUID) -> Specification:
    """The machine begins: the job is computing, and the machine learns what to compute.

    Raises:
        NotFound: it is not this machine's.
        Conflict: it was started before, or is dead; or its worker may not receive the data any more.
    """
    with transaction.atomic():
        try:
            assignment, now = _lock_live(machine, assignment_id, None, AssignmentState.DISPATCHED)
        except Gone:
            raise Conflict("The assignment was started already, or is no longer live.") from None
        received = assignment.job.resource_class.audience_id is None or _may_receive(assignment)
        if received:
            _begin(assignment, now)
        else:
            actor = assignment.worker.name
            end_attempt(assignment, AssignmentState.FAILED, actor=actor, reason=OUTSIDE, fault=Fault.SYSTEM)
            give_up_attempt(assignment.job, fault=Fault.SYSTEM, actor=actor, reason=OUTSIDE)
    if not received:
        raise Conflict(OUTSIDE)
    with about(assignment.job, assignment):
        logger.info("Assignment %s is started by %s.", assignment.pk, assignment.worker_id)
    return _specification(machine, assignment)


def _may_receive(assignment: Assignment) -> bool:
    return Assignment.objects.filter(RECEIVES, pk=assignment.pk).exists()


def _begin(assignment: Assignment, now: datetime) -> None:
    job = assignment.job
    Assignment.objects.filter(pk=assignment.pk).update(
        state=AssignmentState.STARTED.value,
        started_at=now,
        lease_expires_at=now + timedelta(seconds=settings.POLICY.lease_seconds),
    )
    Job.objects.filter(pk=job.pk).update(state=JobState.COMPUTING.value)
    record(
        "job.computing",
        actor=assignment.worker.name,
        job=job,
        assignment=assignment,
        worker=assignment.worker,
        before=job.state,
        after=JobState.COMPUTING,
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


def readable_matrix(*, machine: Worker, sha256: str) -> Path:
    """The file of a matrix that a started assignment of this machine reads, while its worker may receive it.

    Raises:
        NotFound: no live assignment of this machine reads it.
    """
    as_brought = Q(job__matrix=None, job__dataset__matrix_sha256=sha256)
    reads = Assignment.objects.filter(
        as_brought | Q(job__matrix__matrix_sha256=sha256),
        of_machine(machine),
        RECEIVES,
        state=AssignmentState.STARTED.value,
    )
    with transaction.atomic():
        # Who calls copies back sees this one, or is seen here.
        hold_matrix(sha256)
        hold_machines([machine.pk])
        if not reads.exists():
            raise NotFound("No live assignment of this machine reads such a matrix.")
        copies.note(machine=machine, matrix_sha256=sha256)  # before the first byte of it goes out
    return storage.path("matrices", sha256)


def submit_result(
    *, machine: Worker, assignment_id: UUID, fence: int, digest: str, seconds: float, body: BinaryIO
) -> Assignment:
    """Take in an answer once, block by block. It is on the disk before the row that names it is written.

    Raises:
        NotFound: it is not this machine's.
        Refused: empty, not of this `digest`, or more bytes than any answer of the model has.
        Conflict: another answer is in already.
        Gone: the assignment is dead.
    """
    assignment = _find(machine, assignment_id)
    if assignment.state != AssignmentState.STARTED.value or assignment.fence != fence:
        if known := Result.objects.filter(assignment=assignment).first():
            return _same(assignment, known, fence, digest)
        raise Gone("The assignment is dead: it was answered, cancelled or given to another worker.")
    with storage.temporary() as file:
        size = _copy(body, file, digest, answer_bytes_max(assignment))
        storage.flush(file)  # here, for it takes a while, and no lock is held yet
        try:
            result = Result(sha256=digest, size_bytes=size, seconds=seconds)
            # Kept once it is known to be wanted: a late answer leaves nothing behind that would have to be tidied up.
            _write_result(
                machine, assignment_id, fence, result, keep=lambda: storage.keep(file, "results", digest, flushed=True)
            )
        except Gone:
            if known := Result.objects.filter(assignment=assignment).first():  # the same message, at the same time
                return _same(assignment, known, fence, digest)
            raise
    return assignment


def answer_bytes_max(assignment: Assignment) -> int:
    """No right answer to this assignment is a larger file."""
    job = assignment.job
    return bytes_max(MODELS[job.model_type], job.params, job.data.rows, len(job.fitted_columns))


def require_wanted(*, machine: Worker, assignment_id: UUID, size_bytes: int) -> None:
    """Refuse an answer of `size_bytes` before it is sent.

    Raises:
        NotFound: the assignment is not this machine's.
        Refused: more bytes than any answer of the model has.
    """
    if size_bytes > answer_bytes_max(_find(machine, assignment_id)):
        raise Refused("The answer is larger than any right one.")


def _copy(body: BinaryIO, file: IO[bytes], digest: str, limit: int) -> int:
    """Copy an answer, and answer its size in bytes.

    Raises:
        Refused: it is empty, longer than `limit`, or has another digest.
    """
    found, size = hashlib.sha256(), 0
    while chunk := body.read(storage.CHUNK_BYTES):
        size += len(chunk)
        if size > limit:
            raise Refused("The answer is larger than any right one.")
        found.update(chunk)
        file.write(chunk)
    if not size:
        raise Refused("The answer is empty.")
    if found.hexdigest() != digest:
        raise Refused("The answer does not have the SHA-256 that came with it; send it again.")
    return size


def _same(assignment: Assignment, known: Result, fence: int, digest: str) -> Assignment:
    if assignment.fence != fence:
        raise Gone("The fence is not this assignment's.")
    if known.sha256 != digest:
        raise Conflict("Another answer to this assignment is in already.")
    return assignment


def _write_result(
    machine: Worker, assignment_id: UUID, fence: int, result: Result, keep: Callable[[], object] = lambda: None
) -> None:
    with transaction.atomic():
        live, _ = _lock_live(machine, assignment_id, fence, AssignmentState.STARTED)
        job = live.job
        keep()
        Assignment.objects.filter(pk=live.pk).update(state=AssignmentState.SUBMITTED.value, progress=1.0)
        Job.objects.filter(pk=job.pk).update(state=JobState.COMPLETED.value)
        result.assignment = live
        result.save(force_insert=True)
        record(
            "job.completed",
            actor=live.worker.name,
            job=job,
            assignment=live,
            worker=live.worker,
            before=job.state,
            after=JobState.COMPLETED,
            reason=result.claim,
        )
        notifications.changed("jobs", "workers")
        dispatch.verify(str(live.pk), small=is_small(result))
        dispatch.wake_for_a_free_worker()
    with about(job, live):
        logger.info("Assignment %s is answered by %s.", live.pk, live.worker_id)


def fail(*, machine: Worker, assignment_id: UUID, fence: int, fault: str, error: str) -> None:
    """The machine says that it cannot. What it blames on the data is checked like an answer.

    Raises:
        NotFound: it is not this machine's.
        Conflict: the assignment is dead.
    """
    assignment = _find(machine, assignment_id)
    blamed, reason = Fault(fault), error.strip()[:MAX_REASON] or "The worker did not say why."
    try:
        if blamed is Fault.JOB and assignment.state == AssignmentState.STARTED.value:
            _write_result(machine, assignment_id, fence, Result(claim=reason))
            return
        with transaction.atomic():
            live, _ = _lock_live(machine, assignment_id, fence, AssignmentState.DISPATCHED, AssignmentState.STARTED)
            job, actor = live.job, live.worker.name
            end_attempt(live, AssignmentState.FAILED, actor=actor, reason=reason, fault=blamed)
            give_up_attempt(job, fault=blamed, actor=actor, reason=reason)
        with about(job, live):
            logger.info("Assignment %s failed at %s (%s): %s", live.pk, live.worker_id, blamed, reason)
    except Gone as gone:
        raise Conflict(str(gone)) from None


def describe(assignment: Assignment) -> dict[str, Any]:
    """What an answer to a write-back says."""
    return {"assignment": str(assignment.pk), "status": "completed"}
