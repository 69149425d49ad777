"""What keeps which workers from a job: `domain.matching.obstacle`, asked of the database for all of them at once.

A quote and the pages that say why a job waits ask this; the choice itself has every worker before it and costs more.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import (
    Case,
    CharField,
    Count,
    ExpressionWrapper,
    F,
    FloatField,
    Max,
    Q,
    QuerySet,
    Sum,
    Value,
    When,
    Window,
)
from django.db.models.functions import Coalesce, Concat, RowNumber

from marketplace.actions import challenges
from marketplace.actions.pulse import OPEN
from marketplace.domain import hours, matching
from marketplace.domain.lifecycle import LIVE
from marketplace.domain.matching import Demand
from marketplace.models import Assignment, Worker, heard_since
from workers.protocol import OLDEST_PROTOCOL, PROTOCOL_VERSION

SEPARATOR = "\n"  # in no schedule and in no time zone's name


@dataclass(frozen=True)
class Asked:
    """What a job asks of workers at the moment `now`."""

    demand: Demand  # its audience is not looked at: `among` says who is in it
    reward: int  # micro-tokens
    now: datetime
    among: QuerySet[Worker] | None = None  # who may receive the data; None for every worker
    wrong: Collection[UUID] = ()  # workers that got the job wrong


@dataclass
class Kept:
    """The workers that one thing keeps from a job: how many, and the first of them by name with their rates."""

    count: int
    named: dict[str, float | None] = field(default_factory=dict)


def obstacles(asked: Asked, *, named: int) -> dict[str, Kept]:
    """Who can take a job, who is busy and what keeps the others away, in one statement.

    Args:
        asked: what the job asks.
        named: the most workers that are named of each, one or more.

    Returns:
        what `matching.obstacle` says, "" for nothing → the workers that it says it of.
    """
    found = with_obstacle(asked).annotate(
        place=Window(RowNumber(), partition_by=F("obstacle"), order_by=F("name").asc()),
        count=Window(Count("pk"), partition_by=F("obstacle")),
    )
    kept: dict[str, Kept] = {}
    rows = found.filter(place__lte=named).values_list("obstacle", "count", "name", "measured_rate")
    for obstacle, count, name, rate in rows.order_by("name"):
        kept.setdefault(obstacle, Kept(count)).named[name] = rate
    return kept


def obstacle_to(worker: Worker, asked: Asked) -> str | None:
    """What keeps this worker from a job, "" for nothing; None where it is not looked at for any."""
    return next(iter(with_obstacle(asked).filter(pk=worker.pk).values_list("obstacle", flat=True)), None)


def with_obstacle(asked: Asked) -> QuerySet[Any, Any]:
    """The workers that are looked at for any job (as `coordination.candidates`), each with its `obstacle`."""
    silent_since = asked.now - timedelta(seconds=settings.POLICY.silent_after_seconds)
    covered = ExpressionWrapper(F("stake__balance") * settings.POLICY.exposure_factor, FloatField())
    said = [
        *_shortfalls(asked),
        When(pk__in=asked.wrong, then=Value(matching.WAS_WRONG)),
        When(~heard_since(silent_since), then=Value(matching.SILENT)),
        When(Q(covered__lt=asked.reward) | _laden(asked.reward), then=Value(matching.TOO_LITTLE_STAKE)),
        When(_busy(asked.now), then=Value(matching.BUSY)),
    ]
    found = considered(asked.now).alias(of_machine=Coalesce("host", "pk"), covered=covered)
    return found.annotate(obstacle=Case(*said, default=Value(""), output_field=CharField()))


def owners_that_meet(asked: Asked) -> QuerySet[Any, str]:
    """The names of the contributors whose workers meet the demand, free or not."""
    unmet = Case(*_shortfalls(asked), default=Value(""), output_field=CharField())
    found = considered(asked.now).alias(unmet=unmet).filter(unmet="").order_by("contributor__name")
    return found.values_list("contributor__name", flat=True).distinct()


def considered(now: datetime) -> QuerySet[Worker]:
    """Active workers with a machine that is enrolled, serves this version, and takes jobs now."""
    zone, host_zone = Value(SEPARATOR), "host__time_zone"
    closed = _closed(now)
    ready = Q(host=None, enrolled_at__isnull=False)
    stood_in_for = Q(host__enrolled_at__isnull=False, host__draining=False, host__aside="")
    return (
        Worker.objects.alias(
            hours=Concat("schedule", zone, "time_zone", output_field=CharField()),
            machine_hours=Concat("host__schedule", zone, host_zone, output_field=CharField()),
            spoken=Coalesce("host__protocol", "protocol"),
        )
        .filter(ready | stood_in_for, is_active=True, draining=False, aside="")
        .filter(spoken__range=(OLDEST_PROTOCOL, PROTOCOL_VERSION))
        .exclude(Q(hours__in=closed) | Q(machine_hours__in=closed))
    )


def _closed(now: datetime) -> list[str]:
    """The hours that workers keep and that are not now, each with its time zone."""
    kept = Worker.objects.exclude(schedule="").values_list("schedule", "time_zone").distinct()
    return [
        f"{schedule}{SEPARATOR}{zone}"
        for schedule, zone in kept
        if not hours.is_open(hours.parse(schedule), now.astimezone(ZoneInfo(zone)))
    ]


def _shortfalls(asked: Asked) -> list[When]:
    """`matching.shortfall`: what is not asked for keeps nobody away."""
    demand, found = asked.demand, []
    if asked.among is not None:
        found.append(When(~Q(pk__in=asked.among.values("pk")), then=Value(matching.NOT_A_RECEIVER)))
    if demand.gpu_tag:
        found.append(When(~Q(gpu_tag=demand.gpu_tag), then=Value(matching.no_gpu(demand.gpu_tag))))
    if demand.min_memory_bytes > 0:
        found.append(When(memory_bytes__lt=demand.min_memory_bytes, then=Value(matching.TOO_LITTLE_MEMORY)))
    if (least := demand.min_compute_capacity) > 0:
        showed_less = Q(claim_doubted=True) & (Q(measured_rate=None) | Q(measured_rate__lt=least))
        claims_less = Q(claim_doubted=False, compute_capacity__lt=least)
        found.append(When(showed_less | claims_less, then=Value(matching.TOO_SLOW)))
    return found


def _laden(reward: int) -> Q:
    """Workers whose stake does not cover `reward` beside the rewards that they have in hand."""
    covered = ExpressionWrapper(Max("worker__stake__balance") * settings.POLICY.exposure_factor, FloatField())
    in_hand = Assignment.objects.filter(state__in=sorted(LIVE)).values("worker")
    exposed = in_hand.annotate(sum=Sum("job__reward"), covered=covered).filter(sum__gt=F("covered") - reward)
    return Q(pk__in=exposed.values("worker"))


def _busy(now: datetime) -> Q:
    """With a job in hand, on a machine whose slots are all taken, or on one that is being measured."""
    in_hand = Assignment.objects.filter(state__in=OPEN)
    by_machine = in_hand.values(machine=Coalesce("worker__host", "worker"))
    slots = Max(Coalesce("worker__host__slots", "worker__slots"))
    full = by_machine.annotate(taken=Count("pk"), slots=slots).filter(taken__gte=F("slots"))
    measured = challenges.measuring_now(now)
    machines = Q(of_machine__in=full.values("machine")) | Q(of_machine__in=measured.values("worker"))
    return Q(pk__in=in_hand.values("worker")) | machines
