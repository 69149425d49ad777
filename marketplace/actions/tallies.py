"""Counting what has happened: a tally up to a moment, and what came after it.

A job's submission and its end each have one moment that never changes, so that counts up to a moment add up. A tally
stops short of now by longer than any transaction lasts, lest one commit into what was counted; and the first of a day
counts all rows anew.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, DurationField, ExpressionWrapper, F, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce

from marketplace.domain.lifecycle import JobState
from marketplace.models import Job, Tally, Worker, database_now

EVERY = timedelta(minutes=5)
LAG = timedelta(minutes=1)
KEPT = timedelta(hours=49)

_taken = ExpressionWrapper(F("ended_at") - F("submitted_at"), output_field=DurationField())
_verified = Q(state=JobState.VERIFIED.value)


@dataclass(frozen=True)
class Counts:
    """Jobs submitted, and how those that ended did; `verified_seconds` is the sum of what the verified ones took."""

    jobs: int = 0
    verified: int = 0
    failed: int = 0
    cancelled: int = 0
    verified_seconds: float = 0.0


def counts(since: Tally | None, until: datetime | None = None) -> Counts:
    """All that happened before `until` (or by now): `since`'s, and what came after it, by index."""
    submitted, ended = Job.objects.all(), Job.objects.exclude(ended_at=None)
    if since is not None:
        submitted = submitted.filter(submitted_at__gte=since.counted_to)
        ended = ended.filter(ended_at__gte=since.counted_to)
    if until is not None:
        submitted, ended = submitted.filter(submitted_at__lt=until), ended.filter(ended_at__lt=until)
    found = ended.aggregate(
        verified=Count("pk", filter=_verified),
        failed=Count("pk", filter=Q(state=JobState.FAILED.value)),
        cancelled=Count("pk", filter=Q(state=JobState.CANCELLED.value)),
        taken=Sum(_taken, filter=_verified),
    )
    before = Counts() if since is None else since
    later = getattr(since, "submitted_later", None) if until is None else None
    return Counts(
        jobs=before.jobs + (submitted.count() if later is None else later),
        verified=before.verified + found["verified"],
        failed=before.failed + found["failed"],
        cancelled=before.cancelled + found["cancelled"],
        verified_seconds=before.verified_seconds + (found["taken"].total_seconds() if found["taken"] else 0.0),
    )


def open_jobs() -> dict[str, int]:
    """`pending` jobs, and the micro-tokens `held` for all that have not ended: an open job's escrow is its reward."""
    found = Job.objects.filter(ended_at=None).aggregate(
        pending=Count("pk", filter=Q(state=JobState.PENDING.value)), held=Sum("reward")
    )
    return {"pending": found["pending"], "held": found["held"] or 0}


def workers() -> dict[str, int]:
    """`total` and `active` ones, and the micro-tokens `staked` by all."""
    found = Worker.objects.aggregate(
        total=Count("pk"), active=Count("pk", filter=Q(is_active=True)), staked=Sum("stake__balance")
    )
    return found | {"staked": found["staked"] or 0}


def newest() -> Tally | None:
    """The newest one; its `submitted_later` counts the jobs that were submitted after it."""
    later = Job.objects.filter(submitted_at__gte=OuterRef("counted_to")).order_by().values(one=Value(1))
    counted = Coalesce(Subquery(later.annotate(count=Count("pk")).values("count")), 0)
    return Tally.objects.annotate(submitted_later=counted).first()


def take() -> Tally | None:
    """Write the next tally where one is due, and forget those that no page shows any more."""
    until, last = database_now() - LAG, Tally.objects.first()
    if last is not None and until - last.counted_to < EVERY:
        return None
    known = last if last is not None and last.counted_to.date() == until.date() else None
    machines = workers()
    found, _ = Tally.objects.get_or_create(
        counted_to=until,
        defaults={
            **vars(counts(known, until)),
            "workers": machines["total"],
            "active_workers": machines["active"],
            "held": open_jobs()["held"],
        },
    )
    Tally.objects.filter(counted_to__lt=until - KEPT).delete()
    return found


def recent(now: datetime) -> QuerySet[Tally]:
    """While there is one of these, none is due."""
    return Tally.objects.filter(counted_to__gt=now - LAG - EVERY)
