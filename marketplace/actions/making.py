"""Making the matrix of a large dataset: by a task, while the jobs that asked for it wait with their rewards held.

A job that waits is pending, and given to nobody. Its matrix's row says how far it is. Whoever makes it has it under a
lease, and counts as one of its tries: who lost the lease writes nothing more.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

from django.db import transaction
from django.db.models import F, QuerySet

from marketplace import dispatch, notifications, storage
from marketplace.actions import matrices, reading
from marketplace.actions.datasets import lock_kept, require_share_for
from marketplace.actions.endings import end_job
from marketplace.actions.locks import hold_matrix
from marketplace.actions.traces import about
from marketplace.actions.weighing import require_floor, weigh
from marketplace.domain import escrow
from marketplace.domain.errors import NoRoom, Refused
from marketplace.domain.lifecycle import Fault, JobState
from marketplace.domain.recipes import Recipe
from marketplace.models import Client, Job, Matrix, database_now
from marketplace.tables.rows import Block, Stored
from workers.catalog import MODELS

logger = logging.getLogger(__name__)

ACTOR = "coordinator"
MAX_WAITED_FOR = 20  # matrices that one user's jobs may wait for
TELLS = 100  # notes of how far it is, from beginning to end
READ, WRITTEN = 0.4, 0.9  # of the progress, once the table was read, and once the matrix is written
BROKEN = "The network could not make this job's matrix; its operator finds why in the log."
State = Matrix.State


class Superseded(Exception):
    """Nobody waits for the matrix any more, or somebody else makes it."""


@dataclass(frozen=True)
class _Told(Stored):
    """A table whose reader is watched: `tell` hears after each block how many rows were dealt with."""

    tell: Callable[[int], None]

    def blocks(self, numeric: Sequence[str], texts: Sequence[str]) -> Iterator[Block]:
        done = 0
        for block in super().blocks(numeric, texts):
            yield block
            done += len(block)
            self.tell(done)


def make(*, matrix_id: int) -> str:
    """Make a matrix that jobs wait for; answers its state, "" where another makes it or nobody waits any more.

    Where it cannot be made, each job that waits for it fails with the reason, and its reward goes back. Where this
    process reads as much as it may already, it is left to a later cycle.
    """
    with reading.place() as free:
        return _make_claimed(matrix_id) if free else ""


def _make_claimed(matrix_id: int) -> str:
    if not reading.claim(Matrix.objects.filter(pk=matrix_id, state=State.MAKING)):
        return ""
    matrix = Matrix.objects.select_related("dataset").get(pk=matrix_id)
    if matrix.tries > reading.MAX_TRIES:  # it ended whoever made it
        _give_up(matrix, BROKEN, Fault.SYSTEM)
        return State.FAILED.value
    try:
        _make(matrix)
    except Superseded:
        _give_up(matrix, "", Fault.SYSTEM)
        return ""
    except Refused as refusal:
        # A full disk is no fault of the job's; everything else that is refused is in the data or the recipe.
        _give_up(matrix, str(refusal), Fault.SYSTEM if isinstance(refusal, NoRoom) else Fault.JOB)
        return State.FAILED.value
    except Exception:
        logger.exception("Matrix %s could not be made.", matrix.pk)
        if matrix.tries < reading.MAX_TRIES:  # the lease runs out, and it is tried again
            return State.MAKING.value
        _give_up(matrix, BROKEN, Fault.SYSTEM)
        return State.FAILED.value
    return State.READY.value


def _make(matrix: Matrix) -> None:
    recipe, texts = Recipe.read(matrix.recipe), frozenset(matrix.layout["texts"])
    rows, table = max(matrix.dataset.rows, 1), matrices.stored_table(matrix.dataset)
    if not _waiting(matrix).exists():
        raise Superseded
    layout = matrices.survey(matrix, recipe, texts, _Told(**vars(table), tell=_teller(matrix, 0.0, READ, rows)))
    _end_unfit(matrix)
    with storage.temporary(reserved=True) as file:
        told = _Told(**vars(table), tell=_teller(matrix, READ, WRITTEN, rows))
        matrices.write(matrix, layout, told, file, _teller(matrix, WRITTEN, 1.0, matrix.matrix_bytes))
        storage.flush(file)  # here, for it takes a while, and no lock is held yet
        while not _finish(matrix, file):
            _end_unfit(matrix)


def _waiting(matrix: Matrix) -> QuerySet[Job]:
    """The jobs that wait for it."""
    waiting = Job.objects.filter(matrix=matrix, ended_at=None, state=JobState.PENDING.value)
    return waiting.select_related("client__user").order_by("pk")


def _teller(matrix: Matrix, first: float, last: float, whole: int) -> Callable[[int], None]:
    """Notes how far making is, renews the lease, and ends it where that is lost or nobody waits any more."""
    next_at = 0.0

    def tell(done: int) -> None:
        nonlocal next_at
        if done < next_at:
            return
        next_at = done + whole / TELLS
        if not _waiting(matrix).exists():
            raise Superseded
        renewed = _mine(matrix).update(
            progress=first + (last - first) * min(done / whole, 1.0), lease_expires_at=reading.lease()
        )
        if not renewed:
            raise Superseded
        notifications.changed("jobs")

    return tell


def _mine(matrix: Matrix) -> QuerySet[Matrix]:
    """Its row, while this try is the one that makes it."""
    return Matrix.objects.filter(pk=matrix.pk, state=State.MAKING, tries=matrix.tries)


def _fitting(job: Job, matrix: Matrix) -> float:
    """The seconds that the job is quoted on the matrix as it came out.

    Raises:
        Refused: its model does not fit the shape, its reward is too small, or its user's share of the disk.
    """
    require_share_for(job.client.user, matrix)
    seconds, floor = weigh(
        MODELS[job.model_type], job.params, rows=matrix.rows, features=matrix.features, matrix_bytes=matrix.matrix_bytes
    )
    require_floor(floor, job.reward)
    return seconds


def _end_unfit(matrix: Matrix) -> None:
    """Fail each waiting job that cannot be done on the matrix as it came out, one transaction each.

    Raises:
        Superseded: none is left.
    """
    left = 0
    for job in _waiting(matrix):
        try:
            _fitting(job, matrix)
            left += 1
        except Refused as refusal:
            _fail(job.pk, str(refusal), Fault.JOB)
    if not left:
        raise Superseded


def _finish(matrix: Matrix, file: IO[bytes]) -> bool:
    """Give the matrix its place, and have the waiting jobs go on. False where one came meanwhile that cannot be done.

    Raises:
        Superseded: somebody else makes it, or nobody waits any more: its data may have been deleted since.
    """
    with transaction.atomic():
        lock_kept([matrix.dataset], alone=True)
        hold_matrix(matrix.matrix_sha256)
        if not _mine(matrix).select_for_update(no_key=True):
            raise Superseded
        jobs = list(_waiting(matrix).select_for_update(no_key=True, of=("self",)))
        if not jobs:
            raise Superseded
        try:
            quoted = [_fitting(job, matrix) for job in jobs]
        except Refused:
            return False
        matrix.state, matrix.progress, matrix.lease_expires_at = State.READY, 1.0, None
        matrix.changed_at = database_now()
        matrix.save()
        for job, seconds in zip(jobs, quoted, strict=True):
            Job.objects.filter(pk=job.pk).update(quoted_seconds=seconds)
        notifications.changed("jobs")
        dispatch.wake_coordinator()
        storage.keep(file, "matrices", matrix.matrix_sha256, flushed=True)
    for job, seconds in zip(jobs, quoted, strict=True):
        _take_turn(job, seconds)
        with about(job):
            logger.info("Job %s has its matrix.", job.pk)
    return True


def _take_turn(job: Job, seconds: float) -> None:
    """What the job takes longer than was known when it got its place in line counts for its client's next ones."""
    if (more := seconds - job.quoted_seconds) > 0:
        Client.objects.filter(pk=job.client_id).update(virtual_finish=F("virtual_finish") + more)


def join(job: Job) -> None:
    """Have a job that was just put into the queue wait for its matrix; quote it anew where that came to be meanwhile.

    Called in the transaction that made it, which holds its matrix's row since before.

    Raises:
        Refused: it does not fit the matrix; or its user's jobs would wait for more than `MAX_WAITED_FOR` matrices.
    """
    if job.matrix is not None and job.matrix.state == State.READY:
        Job.objects.filter(pk=job.pk).update(quoted_seconds=_fitting(job, job.matrix))
        return
    user = job.client.user_id
    whose = {"jobs__client__user": user} if user else {"jobs__client": job.client_id}
    waited_for = Matrix.objects.filter(**whose, jobs__ended_at=None, state=State.MAKING).distinct()
    if waited_for.count() > MAX_WAITED_FOR:
        raise Refused(
            f"Your jobs wait for {MAX_WAITED_FOR} matrices that are being made, which is the most; submit this one "
            "when one of them is ready."
        )


def _give_up(matrix: Matrix, reason: str, fault: Fault) -> None:
    """Fail the jobs that wait, one transaction each, then say so of the matrix: a restart in between goes on here."""
    while _mine(matrix).exists():
        for job in _waiting(matrix) if reason else ():
            _fail(job.pk, reason, fault)
        with transaction.atomic():
            if _mine(matrix).select_for_update(no_key=True) and not _waiting(matrix).exists():
                _mine(matrix).update(state=State.FAILED, lease_expires_at=None, changed_at=database_now())
            elif not reason:  # somebody asked for it after all
                _mine(matrix).update(lease_expires_at=None, changed_at=database_now())
                dispatch.make_matrix(matrix.pk)
                return


def _fail(job_id: Any, reason: str, fault: Fault) -> None:
    with transaction.atomic():
        job = Job.objects.select_for_update(no_key=True).get(pk=job_id)
        if job.state == JobState.PENDING.value:
            end_job(job, JobState.FAILED, escrow.on_failed(job.reward), actor=ACTOR, reason=reason, fault=fault)


def send_waiting() -> int:
    """Have matrices made whose message was lost, or whose maker was; answers how many."""
    return sum(dispatch.make_matrix_now(pk) for pk in reading.lost(being_made()))


def being_made() -> QuerySet[Matrix]:
    return Matrix.objects.filter(state=State.MAKING)
