"""Putting planned jobs into the queue, rewards held and places in line drawn: many in as many statements as one."""

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Func, IntegerField, Q, QuerySet, Subquery
from structlog.contextvars import get_contextvars

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
from marketplace.models import ApiKey, Audience, Client, DatabaseNow, Event, Job, Network, ResourceClass


@dataclass(frozen=True)
class Order:
    """A request that can be done, and what is paid for it."""

    client: Client
    plan: Plan
    audience: Audience | None  # who may receive the data; None for any worker
    reward: int  # micro-tokens
    deadline_seconds: float


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
    jobs = Job.objects.bulk_create(
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
            request_id=str(get_contextvars().get("request_id", "")),
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
    rows = Client.objects.select_for_update(no_key=True, of=("self",)).select_related("wallet")
    found = {}
    for client in rows.filter(pk__in=clients).order_by("pk"):
        count = Func("pk", function="COUNT", output_field=IntegerField())
        kinds = Func("resource_class", function="COUNT", template="%(function)s(DISTINCT %(expressions)s)",
                     output_field=IntegerField())  # fmt: skip
        open_jobs = _open_jobs(client)
        others = open_jobs.exclude(resource_class__in=classes)
        seen = Network.objects.annotate(
            open_jobs=Subquery(open_jobs.annotate(count=count).values("count")),
            other_demands=Subquery(others.annotate(count=kinds).values("count")),
            now=DatabaseNow(),
        )
        found[client.pk] = _Line(
            client, *seen.values_list("open_jobs", "other_demands", "virtual_time", "now").get(pk=1)
        )
    return found


def _open_jobs(client: Client) -> QuerySet[Job]:
    """Those of this client, and of all others of the same user."""
    mine = Q(client__user=client.user_id) if client.user_id else Q(client=client)
    return Job.objects.filter(mine, ended_at=None).order_by()


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


def _class_of(demand: Demand, audience: Audience | None) -> ResourceClass:
    found, _ = ResourceClass.objects.get_or_create(
        gpu_tag=demand.gpu_tag,
        min_memory_bytes=demand.min_memory_bytes,
        min_compute_capacity=demand.min_compute_capacity,
        audience=audience,
    )
    return found
