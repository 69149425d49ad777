"""Writing down who did what, when and why."""

from collections.abc import Iterable

from marketplace.models import Assignment, Event, Job, Worker, insert_all


def record(
    kind: str,
    *,
    actor: str,
    job: Job | None = None,
    assignment: Assignment | None = None,
    worker: Worker | None = None,
    before: str = "",
    after: str = "",
    reason: str = "",
) -> Event:
    """Write one event row, in the transaction that makes the change."""
    return Event.objects.create(
        kind=kind,
        actor=actor,
        job=job,
        assignment=assignment,
        worker=worker,
        before=before,
        after=after,
        reason=reason,
    )


def record_all(events: Iterable[Event]) -> None:
    """Write several event rows in one statement, in the transaction that makes the changes."""
    insert_all(events, read_back=False)
