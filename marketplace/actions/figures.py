"""What a monitor wants to know of the network, in a fixed number of statements whatever the history."""

import threading
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Min, Q, Sum

from marketplace import broker
from marketplace.actions import books, tallies
from marketplace.actions.readiness import beat_age
from marketplace.domain.ledger import AccountKind
from marketplace.domain.lifecycle import AssignmentState, JobState
from marketplace.models import (
    Account,
    Assignment,
    Checkpoint,
    Contest,
    Job,
    Network,
    Unsealed,
    Verdict,
    Worker,
    database_now,
)

QUEUES = ("coordination", "verification", "reading")
LAG = timedelta(minutes=1)  # longer than any transaction lasts
KINDS = [kind.value for kind in AccountKind if kind is not AccountKind.ESCROW]


@dataclass(frozen=True)
class Figures:
    jobs: dict[str, int]  # by state
    oldest_pending_seconds: float
    assignments: dict[str, int]  # open ones, by state
    workers: dict[str, int]  # registered, active, online
    verdicts: dict[str, int]  # by outcome
    verification_seconds: float  # of all verdicts
    queues: dict[str, int]  # messages that wait
    balances: dict[str, int]  # micro-tokens by kind of account; escrow is what open jobs hold
    beat_age_seconds: float | None
    unsealed: int
    sealed_leaves: int
    checkpoint_age_seconds: float | None
    books_age_seconds: float | None
    books_problems: int
    open_contests: int


@dataclass
class _Verdicts:
    """What is known of all verdicts up to a row: they are never changed, so that only new ones are counted."""

    up_to: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


_lock = threading.Lock()
_known: dict[str, _Verdicts] = {}  # by the database's name


def read() -> Figures:
    now = database_now()
    network = Network.objects.get(pk=1)
    open_ = Job.objects.filter(ended_at=None)
    jobs = dict.fromkeys((state.value for state in JobState), 0)
    jobs |= dict(open_.order_by().values_list("state").annotate(count=Count("pk")))
    ended = tallies.counts(tallies.newest())
    jobs |= {"verified": ended.verified, "failed": ended.failed, "cancelled": ended.cancelled}
    oldest = open_.filter(state=JobState.PENDING.value).aggregate(at=Min("submitted_at"))["at"]
    states = [AssignmentState.DISPATCHED.value, AssignmentState.STARTED.value, AssignmentState.SUBMITTED.value]
    held = Assignment.objects.filter(state__in=states).order_by().values_list("state").annotate(count=Count("pk"))
    balances = Account.objects.filter(kind__in=KINDS).order_by().values_list("kind").annotate(sum=Sum("balance"))
    verdicts, checkpoint, audited, beat = _verdicts(now), Checkpoint.objects.first(), books.newest(), beat_age(network)
    return Figures(
        jobs=jobs,
        oldest_pending_seconds=(now - oldest).total_seconds() if oldest else 0.0,
        assignments=dict.fromkeys(states, 0) | dict(held),
        workers=_workers(now),
        verdicts=dict.fromkeys(("accepted", "rejected", "inconclusive"), 0) | verdicts.counts,
        verification_seconds=verdicts.seconds,
        queues={queue: broker.waiting(queue) for queue in QUEUES},
        balances=dict.fromkeys(KINDS, 0) | dict(balances) | {"escrow": tallies.open_jobs()["held"]},
        beat_age_seconds=beat.total_seconds() if beat else None,
        unsealed=Unsealed.objects.count(),
        sealed_leaves=checkpoint.size if checkpoint else 0,
        checkpoint_age_seconds=_age(now, checkpoint.created_at if checkpoint else None),
        books_age_seconds=_age(now, audited.checked_at if audited else None),
        books_problems=audited.problem_count if audited else 0,
        open_contests=Contest.objects.filter(outcome=Contest.Outcome.OPEN).count(),
    )


def _age(now: datetime, at: datetime | None) -> float | None:
    return (now - at).total_seconds() if at else None


def _workers(now: datetime) -> dict[str, int]:
    since = now - timedelta(seconds=settings.POLICY.silent_after_seconds)
    heard = Q(host=None, last_heartbeat_at__gte=since) | Q(host__last_heartbeat_at__gte=since)
    return Worker.objects.aggregate(
        registered=Count("pk"),
        active=Count("pk", filter=Q(is_active=True)),
        online=Count("pk", filter=Q(is_active=True) & heard),
    )


def _verdicts(now: datetime) -> _Verdicts:
    """All verdicts: those known already, and the rows that came after them."""
    with _lock:
        name = str(settings.DATABASES["default"]["NAME"])
        known = _known.setdefault(name, _Verdicts())
        found = _Verdicts(known.up_to, dict(known.counts), known.seconds)
        rows = Verdict.objects.filter(pk__gt=known.up_to).order_by("pk")
        settled, counts, seconds = True, defaultdict(int, found.counts), found.seconds
        grouped: Any = rows.values_list("pk", "outcome", "seconds", "created_at").iterator(5_000)
        for pk, outcome, took, created_at in grouped:
            counts[outcome] += 1
            seconds += took
            settled = settled and created_at < now - LAG
            if settled:  # none that commits later comes before it
                known.up_to, known.counts, known.seconds = pk, dict(counts), seconds
        return _Verdicts(found.up_to, dict(counts), seconds)
