"""Putting planned jobs into the queue, rewards held and places in line drawn: many in as many statements as one."""

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.conf import settings
from django.db.models import Func, IntegerField, Q, QuerySet, Subquery

from marketplace import dispatch, notifications
from marketplace.actions.events import record_all
from marketplace.actions.keys import spend
from marketplace.actions.ledger import Posting, open_accounts, post
from marketplace.actions.submissions import Plan
from marketplace.domain import matching
from marketplace.domain.errors import Refused
from marketplace.domain.ledger import AccountKind, Code
from marketplace.domain.lifecycle import JobState
from marketplace.domain.matching import Demand
from marketplace.models import (
    ApiKey,
    Audience,
    Client,
    Compiled,
    DatabaseNow,
    Event,
    Job,
    Network,
    ResourceClass,
    insert_all,
)


@dataclass(frozen=True)
class Order:
    """A request that can be done, and what is paid for it."""

    client: Client
    plan: Plan
    audience: Audience | None  # who may receive the data; None for any worker
    reward: int  # micro-tokens
    deadline_seconds: float
    request_id: str


@dataclass(frozen=True)
class _Line:
    """Where a client's jobs queue up, once its row is locked."""

    client: Client  # with its wallet
    open_jobs: int
    other_demands: int  # among them, beside those of the new jobs
    virtual_time: float
    now: datetime


def enqueue(orders: Sequence[Order], api_key: ApiKey | None) -> list[Job]:
    """Hold the rewards and put the jobs into the queue, in this order. Must be called in a transaction.

    Raises:
        Refused: more open jobs, or jobs of more different demands, than a client may have.
        Forbidden: the spending limit of `api_key`.
        InsufficientFunds
    """
    needs = [(order.plan.demand, order.audience) for order in orders]
    _require_few_demands(len(set(needs)))
    classes = {need: _class_of(*need) for need in dict.fromkeys(needs)}
    lines = _lines({order.client.pk for order in orders}, list(classes.values()))
    _require_few_open(lines, orders)
    starts = _draw_places(lines, orders)
    ids = [uuid.uuid4() for _ in orders]
    escrows = open_accounts(AccountKind.ESCROW, [str(job_id) for job_id in ids])
    jobs = insert_all(
        Job(
            id=job_id,
            client=lines[order.client.pk].client,
            model_type=order.plan.model.name,
            dataset=order.plan.dataset,
            matrix=order.plan.prepared.insert(order.plan.dataset) if order.plan.prepared else None,
            params=order.plan.params,
            features=order.plan.features,
            target=order.plan.target,
            seed=secrets.randbelow(2**31),
            resource_class=classes[need],
            reward=order.reward,
            escrow=escrow,
            quoted_seconds=order.plan.quoted_seconds,
            virtual_start=start,
            max_attempts=settings.POLICY.max_attempts,
            deadline_at=lines[order.client.pk].now + timedelta(seconds=order.deadline_seconds),
            request_id=order.request_id,
        )
        for order, need, job_id, escrow, start in zip(orders, needs, ids, escrows, starts, strict=True)
    )
    spend(api_key, sum(job.reward for job in jobs))
    post([Posting(job.client.wallet, job.escrow, job.reward, Code.HOLD, f"job:{job.pk}:hold", job) for job in jobs])
    record_all(
        Event(kind="job.submitted", actor=job.client.address, job=job, after=JobState.PENDING.value) for job in jobs
    )
    notifications.changed("jobs", "clients", "network")
    dispatch.wake_coordinator()
    return jobs


def _lines(clients: set[int], classes: Sequence[ResourceClass]) -> dict[int, _Line]:
    """The clients' rows are locked: the jobs of each queue one behind the other."""
    found = {}
    for client in [_locked_client(pk)[0] for pk in sorted(clients)]:
        (seen,) = _seen(bool(client.user_id), len(classes))(client.user_id or client.pk, *(each.pk for each in classes))
        found[client.pk] = _Line(client, seen.open_jobs, seen.other_demands, seen.virtual_time, seen.now)
    return found


_locked_client = Compiled(
    lambda pk: Client.objects.select_for_update(no_key=True, of=("self",)).select_related("wallet").filter(pk=pk), int
)


@cache
def _seen(by_user: bool, classes: int) -> Compiled[Any]:
    """The network as a client sees it from its line: it and all others of the same user, with so many new classes."""

    def build(who: int, *new: int) -> QuerySet[Network]:
        mine = Q(client__user=who) if by_user else Q(client=who)
        open_jobs = Job.objects.filter(mine, ended_at=None).order_by()
        count = Func("pk", function="COUNT", output_field=IntegerField())
        kinds = Func("resource_class", function="COUNT", template="%(function)s(DISTINCT %(expressions)s)",
                     output_field=IntegerField())  # fmt: skip
        others = open_jobs.exclude(resource_class__in=new)
        return Network.objects.filter(pk=1).annotate(
            open_jobs=Subquery(open_jobs.annotate(count=count).values("count")),
            other_demands=Subquery(others.annotate(count=kinds).values("count")),
            now=DatabaseNow(),
        )

    return Compiled(build, int, *[int] * classes)


def _require_few_open(lines: dict[int, _Line], orders: Sequence[Order]) -> None:
    """Whoever would have more open jobs than the policy allows waits for some to end."""
    most = settings.POLICY.open_jobs_per_client
    for line in lines.values():
        if line.client.user_id:
            new = sum(lines[order.client.pk].client.user_id == line.client.user_id for order in orders)
        else:
            new = sum(order.client.pk == line.client.pk for order in orders)
        if line.open_jobs + new > most:
            raise Refused(
                f"You have {line.open_jobs:,} open jobs, and {most:,} is the most; wait until some have ended, or "
                "cancel some."
            )
        _require_few_demands(line.other_demands + len({(order.plan.demand, order.audience) for order in orders}))


def _require_few_demands(demands: int) -> None:
    """Matching asks for each demand by itself, so that one client's many would keep everybody waiting."""
    if demands > (most := settings.POLICY.open_demands_per_client):
        raise Refused(
            f"Your open jobs would make {demands:,} different demands of workers, and {most:,} is the most; let more "
            "of them demand the same."
        )


def _draw_places(lines: dict[int, _Line], orders: Sequence[Order]) -> list[float]:
    """Each job's tag of fair queueing, behind those that its client has in line."""
    finishes = {pk: line.client.virtual_finish for pk, line in lines.items()}
    starts = []
    for order in orders:
        pk = order.client.pk
        start = matching.virtual_start(virtual_time=lines[pk].virtual_time, virtual_finish=finishes[pk])
        finishes[pk] = start + max(order.plan.quoted_seconds, matching.LEAST_SERVICE_SECONDS)
        starts.append(start)
    for pk, finish in finishes.items():
        Client.objects.filter(pk=pk).update(virtual_finish=finish)
    return starts


_class_for_all = Compiled(
    lambda tag, memory, capacity: ResourceClass.objects.filter(
        gpu_tag=tag, min_memory_bytes=memory, min_compute_capacity=capacity, audience=None
    ),
    str,
    int,
    float,
)


def _class_of(demand: Demand, audience: Audience | None) -> ResourceClass:
    asked = (demand.gpu_tag, demand.min_memory_bytes, float(demand.min_compute_capacity))
    if audience is None and (known := _class_for_all.first(*asked)):
        return known
    found, _ = ResourceClass.objects.get_or_create(
        gpu_tag=demand.gpu_tag,
        min_memory_bytes=demand.min_memory_bytes,
        min_compute_capacity=demand.min_compute_capacity,
        audience=audience,
    )
    return found
