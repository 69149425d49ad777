"""Assignments as the machine that holds them knows them: whether one is alive is said once its job is locked."""

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from marketplace.actions.heartbeats import of_machine
from marketplace.domain.errors import NotFound
from marketplace.domain.lifecycle import AssignmentState
from marketplace.models import Assignment, Compiled, Job, Worker, database_now

DATA = ("matrix_sha256", "matrix_bytes", "rows", "matrix_columns")
# What beginning an assignment and answering it read, of rows of a hundred columns.
READ = (
    *("job", "worker__name", "fence", "state", "lease_expires_at"),
    *(f"job__{name}" for name in ("attempt", "state", "deadline_at", "model_type", "params", "seed", "features")),
    *(f"job__{name}" for name in ("target", "quoted_seconds", "request_id", "resource_class__audience")),
    *(f"job__{data}__{name}" for data in ("dataset", "matrix") for name in DATA),
    "job__matrix__target",
)


def of(machine: Worker | UUID) -> QuerySet[Assignment]:
    """The machine's assignments, with their jobs, data (but for what describes their columns) and workers."""
    rows = Assignment.objects.filter(of_machine(machine))
    rows = rows.select_related("job__dataset", "job__matrix", "job__resource_class", "worker")
    return rows.defer("job__dataset__columns", *(f"job__matrix__{name}" for name in ("columns", "layout", "recipe")))


def find_all(machine: Worker, assignment_ids: Collection[UUID]) -> dict[UUID, Assignment]:
    """Those of several that are the machine's, by their ids, with what `READ` names."""
    return {each.pk: each for each in _found(machine.pk, assignment_ids)}


_found = Compiled(lambda machine, ids: of(machine).only(*READ).filter(pk__among=ids), UUID, [UUID])
_lock_jobs = Compiled(
    lambda machine, ids: (
        Job.objects.select_for_update(no_key=True)
        .filter(pk__in=of(machine).filter(pk__among=ids).values("job"))
        .order_by("pk")
        .values_list("pk")
    ),
    UUID,
    [UUID],
)


def find(machine: Worker, assignment_id: UUID) -> Assignment:
    """
    Raises:
        NotFound: it is not this machine's.
    """
    found = of(machine).filter(pk=assignment_id).first()
    if found is None:
        raise NotFound("There is no such assignment.")
    return found


def lock_all(
    machine: Worker, assignment_ids: Collection[UUID], *, whole: bool = False
) -> tuple[Mapping[UUID, Assignment], datetime]:
    """`find_all` as it is once the jobs are locked, in order; and the time. `whole` reads all columns.

    The clock is read after the locks are held: a statement that waited must not take a dead lease for a live one.
    """
    if not _lock_jobs(machine.pk, assignment_ids):
        return {}, database_now()
    found = of(machine).filter(pk__among=assignment_ids).in_bulk() if whole else find_all(machine, assignment_ids)
    return found, database_now()


def is_live(found: Assignment, now: datetime, *states: AssignmentState) -> bool:
    """Is it its job's newest attempt, in one of `states`, and under its lease?"""
    newest = found.fence == found.job.attempt and found.state in states
    return newest and min(found.lease_expires_at, found.job.deadline_at) >= now
