"""What a contributor's machine does with an assignment. Every change is fenced: it matches a live row or nothing."""

import logging
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from marketplace import storage
from marketplace.actions import copies, live
from marketplace.actions.answers import DEAD, Answer, answer_bytes_max, submit_all, write_results
from marketplace.actions.endings import end_attempt, give_up_attempt
from marketplace.actions.heartbeats import of_machine
from marketplace.actions.locks import hold_machines, hold_matrix
from marketplace.actions.starts import RECEIVES, start_all
from marketplace.actions.traces import about
from marketplace.domain.errors import Conflict, NotFound, Refused
from marketplace.domain.lifecycle import AssignmentState, Fault
from marketplace.models import Assignment, Result, Worker
from workers.protocol import Specification

logger = logging.getLogger(__name__)

MAX_REASON = 500


def start(*, machine: Worker, assignment_id: UUID) -> Specification:
    """The machine begins: the job is computing, and the machine learns what to compute.

    Raises:
        NotFound: it is not this machine's.
        Conflict: it was started before, or is dead; or its worker may not receive the data any more.
    """
    (said,) = start_all(machine=machine, assignment_ids=[assignment_id])
    if isinstance(said, Refused):
        raise said
    return said


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
) -> None:
    """Take in an answer once, block by block. It is on the disk before the row that names it is written.

    Raises:
        NotFound: it is not this machine's.
        Refused: empty, not of this `digest`, or more bytes than any answer of the model has.
        Conflict: another answer is in already.
        Gone: the assignment is dead.
    """
    (refused,) = submit_all(machine=machine, answers=[Answer(assignment_id, fence, digest, seconds, body)])
    if refused is not None:
        raise refused


def require_wanted(*, machine: Worker, assignment_id: UUID, size_bytes: int) -> None:
    """Refuse an answer of `size_bytes` before it is sent.

    Raises:
        NotFound: the assignment is not this machine's.
        Refused: more bytes than any answer of the model has.
    """
    if size_bytes > answer_bytes_max(live.find(machine, assignment_id)):
        raise Refused("The answer is larger than any right one.")


def fail(*, machine: Worker, assignment_id: UUID, fence: int, fault: str, error: str) -> None:
    """The machine says that it cannot. What it blames on the data is checked like an answer.

    Raises:
        NotFound: it is not this machine's.
        Conflict: the assignment is dead.
    """
    assignment = live.find(machine, assignment_id)
    blamed, reason = Fault(fault), error.strip()[:MAX_REASON] or "The worker did not say why."
    if assignment.fence != fence:
        raise Conflict(DEAD)
    if blamed is Fault.JOB and assignment.state == AssignmentState.STARTED.value:
        if not write_results(machine, {assignment_id: Result(claim=reason)}):
            raise Conflict(DEAD)
        return
    with transaction.atomic():
        found, now = live.lock_all(machine, [assignment_id], whole=True)
        held = found.get(assignment_id)
        if held is None or not live.is_live(held, now, AssignmentState.DISPATCHED, AssignmentState.STARTED):
            raise Conflict(DEAD)
        end_attempt(held, AssignmentState.FAILED, actor=held.worker.name, reason=reason, fault=blamed)
        give_up_attempt(held.job, fault=blamed, actor=held.worker.name, reason=reason)
    with about(held.job, held):
        logger.info("Assignment %s failed at %s (%s): %s", held.pk, held.worker_id, blamed, reason)
