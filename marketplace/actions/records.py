"""How each worker did of late: counted by the cycle, so that the market sorts by it and no page counts it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import median
from uuid import UUID

from django.db.models import Q, QuerySet

from marketplace.domain.lifecycle import AssignmentState, Fault
from marketplace.models import Assignment, Worker
from marketplace.models.bounded import first_of_each

RECENT = 100  # attempts of a worker that its record is of
OVERLAP = timedelta(seconds=5)  # longer than an attempt's end takes to commit
BATCH = 50
COUNTED = [AssignmentState.ACCEPTED.value, AssignmentState.REJECTED.value, AssignmentState.LOST.value]
UNCOUNTED = Q(success_rate=None, jobs_completed__gt=0)
JUDGED = Q(state__in=COUNTED) | Q(state=AssignmentState.FAILED.value, fault=Fault.WORKER.value)


def take(previous: datetime | None) -> int:
    """Count anew for those who had an attempt end since the `previous` cycle, or were never counted. Answers how many.

    One statement each to write, for nothing else of a cycle locks workers in an order of its own.
    """
    changed = Worker.objects.filter(Q(pk__in=ended_since(previous).values("worker")) | UNCOUNTED)
    workers = list(changed.values_list("pk", flat=True))
    for start in range(0, len(workers), BATCH):
        _count(workers[start : start + BATCH])
    return len(workers)


def ended_since(previous: datetime | None) -> QuerySet[Assignment]:
    """Attempts that ended since the `previous` cycle, or a little before; without one, all that have ended."""
    ended = Assignment.objects.filter(ended_at__isnull=False)
    return ended if previous is None else ended.filter(ended_at__gte=previous - OVERLAP)


def uncounted() -> QuerySet[Worker]:
    return Worker.objects.filter(UNCOUNTED)


def _count(workers: Sequence[UUID]) -> None:
    latest = Assignment.objects.filter(JUDGED).order_by("-created_at")
    recent = first_of_each(
        lambda key: latest.filter(worker=key).values_list("state", "created_at", "started_at")[:RECENT], workers
    )
    for worker, attempts in zip(workers, recent, strict=True):
        right = sum(state == AssignmentState.ACCEPTED.value for state, _, _ in attempts)
        waits = [(_moment(began) - _moment(given)).total_seconds() for _, given, began in attempts if began]
        Worker.objects.filter(pk=worker).update(
            success_rate=right / len(attempts) if attempts else None,
            median_wait_seconds=median(waits) if waits else None,
        )


def _moment(value: datetime | str) -> datetime:
    """SQLite's driver gives text."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value
