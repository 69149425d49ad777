"""What an operator does in an incident, beside freezing payouts and checking answers again."""

from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Count, Q, QuerySet, Sum

from marketplace import broker, dispatch, notifications
from marketplace.actions.endings import end_attempt, give_up_attempt
from marketplace.actions.events import record
from marketplace.actions.expiry import OPEN
from marketplace.actions.heartbeats import of_machine
from marketplace.actions.workers import new_enrolment_key, set_active
from marketplace.domain.errors import NotFound
from marketplace.domain.lifecycle import AssignmentState, Fault
from marketplace.models import (
    Account,
    Assignment,
    Contributor,
    Dataset,
    EnrolmentKey,
    Job,
    Network,
    Transfer,
    Verdict,
    Worker,
    database_now,
)


@dataclass(frozen=True)
class NewKey:
    """What enrols a worker's machine anew. Shown once."""

    worker: str
    enrolment_key: str


@dataclass(frozen=True)
class Touched:
    """Everything that a contributor's workers had to do with, newest first."""

    contributor: Contributor
    workers: QuerySet[Worker]
    assignments: QuerySet[Assignment]
    verdicts: QuerySet[Verdict]
    transfers: QuerySet[Transfer]
    datasets: QuerySet[Dataset]  # whose contents its machines could read

    def counts(self) -> dict[str, Any]:
        outcomes = dict(self.verdicts.order_by().values_list("outcome").annotate(count=Count("pk")))
        wallet = self.contributor.wallet_id
        paid = self.transfers.filter(code="capture", destination=wallet).aggregate(total=Sum("amount"))["total"]
        return {
            "workers": self.workers.count(),
            "jobs": self.assignments.order_by().values("job").distinct().count(),
            "attempts": self.assignments.count(),
            "verdicts": outcomes,
            "transfers": self.transfers.count(),
            "earned": paid or 0,  # micro-tokens
            "datasets": self.datasets.count(),
        }


def find_contributor(name: str) -> Contributor:
    """
    Raises:
        NotFound
    """
    found = Contributor.objects.select_related("wallet").filter(name=name).first()
    if found is None:
        raise NotFound(f"There is no contributor {name[:64]}.")
    return found


def drain_all(*, draining: bool, actor: str, reason: str = "") -> bool:
    """Give no machine anything new, or give work again. What is in hand is finished. False where it was so already."""
    with transaction.atomic():
        if not Network.objects.filter(pk=1, draining=not draining).update(draining=draining):
            return False
        record("network.drained" if draining else "network.undrained", actor=actor, reason=reason)
        notifications.changed("network", "workers")
        if not draining:
            dispatch.wake_coordinator()
    return True


def rotate_secrets(*, actor: str, worker_name: str = "") -> list[NewKey]:
    """Void the HTTP and Redis secrets of one worker, or of all, and answer the keys that enrol their machines anew.

    Keys given out before are void as well. What the machines have in hand is called off, laid to nobody.

    Raises:
        NotFound: no such enrolled worker.
    """
    enrolled = Worker.objects.exclude(secret_sha256="").order_by("name")
    if worker_name:
        enrolled = enrolled.filter(name=worker_name)
        if not enrolled.exists():
            raise NotFound(f"There is no enrolled worker {worker_name[:64]}.")
    keys = []
    for worker in enrolled:
        with transaction.atomic():
            Worker.objects.filter(pk=worker.pk).update(secret_sha256="", broker_secret_sha256="", enrolled_at=None)
            EnrolmentKey.objects.filter(worker=worker, used_at=None).update(used_at=database_now())
            record("worker.secrets_rotated", actor=actor, worker=worker, reason="It has to enrol anew.")
            keys.append(NewKey(worker.name, new_enrolment_key(worker=worker, actor=actor)))
            notifications.changed("workers")
        broker.expel([worker])
        call_off(worker, actor, "The secrets of the worker's machine were rotated.")
    if not worker_name:
        record("network.secrets_rotated", actor=actor, reason=f"of {len(keys)} workers")
    return keys


def suspend_contributor(*, contributor: Contributor, actor: str, reason: str) -> Touched:
    """Take all of a contributor's workers out of the market and call off what they have in hand.

    It cannot register another while it is suspended. Answers that are in already are still checked and, unless
    payouts are frozen, paid or slashed.
    """
    with transaction.atomic():
        Contributor.objects.filter(pk=contributor.pk, suspended_at=None).update(suspended_at=database_now())
        workers = list(Worker.objects.filter(contributor=contributor))
        record("contributor.suspended", actor=actor, reason=f"{contributor.name}: {reason}")
    for worker in workers:
        set_active(worker=worker, active=False, actor=actor, reason=reason)
    for worker in workers:
        call_off(worker, actor, "The worker's contributor was suspended.")
    return touched(contributor)


def reinstate_contributor(*, contributor: Contributor, actor: str, reason: str = "") -> None:
    """Let a suspended contributor's workers back into the market."""
    with transaction.atomic():
        if not Contributor.objects.filter(pk=contributor.pk).exclude(suspended_at=None).update(suspended_at=None):
            return
        record("contributor.reinstated", actor=actor, reason=f"{contributor.name}: {reason}")
    for worker in Worker.objects.filter(contributor=contributor, is_active=False):
        set_active(worker=worker, active=True, actor=actor, reason=reason)


def touched(contributor: Contributor) -> Touched:
    """Everything that the contributor's workers had to do with."""
    workers = Worker.objects.filter(contributor=contributor)
    assignments = Assignment.objects.filter(worker__in=workers)
    accounts = Account.objects.filter(
        Q(contributor=contributor) | Q(staked_worker__in=workers) | Q(unbonding_worker__in=workers)
    )
    read = assignments.exclude(started_at=None).values("job__dataset")
    return Touched(
        contributor,
        workers.order_by("name"),
        assignments.select_related("job__client", "worker").order_by("-created_at"),
        Verdict.objects.filter(assignment__in=assignments).order_by("-created_at"),
        Transfer.objects.filter(Q(source__in=accounts) | Q(destination__in=accounts))
        .select_related("source", "destination")
        .order_by("-id"),
        Dataset.objects.filter(pk__in=read).order_by("-created_at"),
    )


def call_off(worker: Worker, actor: str, reason: str) -> None:
    """End what the worker's machine has in hand, so that others get it at once. It costs nobody reputation."""
    in_hand = Assignment.objects.filter(of_machine(worker), state__in=OPEN).values_list("pk", "job")
    for pk, job_id in in_hand:
        with transaction.atomic():
            job = Job.objects.select_for_update(no_key=True).get(pk=job_id)
            assignment = Assignment.objects.select_related("worker", "job").get(pk=pk)
            if assignment.state not in OPEN:
                continue
            end_attempt(assignment, AssignmentState.CANCELLED, actor=actor, reason=reason, fault=Fault.SYSTEM)
            give_up_attempt(job, fault=Fault.SYSTEM, actor=actor, reason=reason)
