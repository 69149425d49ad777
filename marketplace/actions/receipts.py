"""Receipts: what was done for a job, what it is worth and what it cost, so that anybody can run the check again."""

from collections import defaultdict
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Q

from marketplace import storage
from marketplace.domain.errors import NotFound
from marketplace.domain.ledger import Code
from marketplace.domain.lifecycle import AssignmentState
from marketplace.models import Assignment, Job, Transfer
from marketplace.verification.check import Finding, Task, check_answer
from workers.catalog import MODELS

RELATED = ("worker__contributor", "result", "verdict__contest")


def receipt(*, job_id: UUID, user: Any) -> dict[str, Any]:
    """The job's receipt: what was to be computed and, for each attempt, its answer, verdict, transfers and contest.

    The client and operators see every attempt, a contributor those of its own workers. A verifier's seed is in it once
    there is a verdict.

    Returns:
        ``{"job", "attempts": [(assignment, transfers)], "transfers"}`` of rows, and whether that is all of it in
        ``"sees_all"``.

    Raises:
        NotFound: no such job, or nothing of it is the user's.
    """
    job = Job.objects.select_related("client", "dataset").filter(pk=job_id).first()
    if job is None:
        raise NotFound(f"There is no job {job_id}.")
    attempts = list(job.assignments.select_related(*RELATED).order_by("fence"))
    sees_all = settings.SANDBOX or bool(user and (user.is_staff or job.client.user_id == user.pk))
    own = [a for a in attempts if sees_all or (user and a.worker.contributor.user_id == user.pk)]
    if not own and not sees_all:
        raise NotFound(f"There is no job {job_id}.")
    by_attempt = transfers_by_attempt(job, attempts)
    return {
        "job": job,
        "attempts": [(assignment, by_attempt[assignment.pk]) for assignment in own],
        "transfers": by_attempt[None] if sees_all else [],
        "sees_all": sees_all,
    }


def transfers_by_attempt(job: Job, attempts: list[Assignment]) -> dict[UUID | None, list[Transfer]]:
    """The job's transfers by the attempt that each is about; under None those of the job as a whole."""
    found: dict[UUID | None, list[Transfer]] = defaultdict(list)
    paid = [a.pk for a in attempts if a.state in (AssignmentState.ACCEPTED.value, AssignmentState.CANCELLED.value)]
    for transfer in Transfer.objects.filter(job=job).select_related("source", "destination").order_by("pk"):
        kind, _, rest = transfer.idempotency_key.partition(":")
        if kind == "assignment":
            found[UUID(rest.partition(":")[0])].append(transfer)
        elif transfer.code == Code.CAPTURE.value and paid:
            found[paid[-1]].append(transfer)
        else:
            found[None].append(transfer)
    return found


def answer_file(*, assignment_id: UUID, user: Any) -> tuple[Path, str]:
    """A worker's own answer, for its contributor and operators: the archive and its SHA-256.

    Raises:
        NotFound: no such assignment of this user's worker, or no answer to it.
    """
    mine = Q() if settings.SANDBOX or (user and user.is_staff) else Q(worker__contributor__user=user.pk if user else 0)
    found = Assignment.objects.select_related("result").filter(mine, pk=assignment_id, result__isnull=False).first()
    if found is None or not found.result.sha256 or not storage.path("results", found.result.sha256).is_file():
        raise NotFound("There is no such answer.")
    return storage.path("results", found.result.sha256), found.result.sha256


def recheck(*, assignment_id: UUID) -> tuple[Assignment, Finding]:
    """Check an answer again, with the randomness that its verdict was found with. Nothing is written.

    Raises:
        NotFound: no such assignment, or no verdict on it yet.
    """
    found = (
        Assignment.objects.select_related("job__dataset", "worker", "result", "verdict")
        .filter(pk=assignment_id, verdict__isnull=False)
        .first()
    )
    if found is None:
        raise NotFound(f"There is no verdict on an assignment {assignment_id}.")
    job = found.job
    matrix = storage.path("matrices", job.data.matrix_sha256)
    task = Task(job.model_type, job.params, job.seed, matrix, job.fitted_columns, job.fitted_target)
    return found, check_answer(task, storage.path("results", found.result.sha256), int(found.verdict.seed, 16))


def catalogue_version(job: Job) -> int:
    """The version of the job's model in the catalogue that checks here; 0 where it has it no more."""
    model = MODELS.get(job.model_type)
    return model.version if model else 0
