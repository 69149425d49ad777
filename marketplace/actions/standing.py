"""Reputation: moving it, and taking workers out of the market when it falls too low."""

from typing import Any

from django.conf import settings
from django.db.models import F, OuterRef, Subquery

from marketplace.actions.events import record
from marketplace.domain import reputation
from marketplace.models import Assignment, Contributor, Event, ReputationChange, Worker

ACTOR = "coordinator"


def lock_worker(worker_id: Any) -> Worker:
    """A worker with its contributor and accounts, as they are once both rows are locked: the contributor's first.

    Whatever moves stake, a loan or reputation holds this lock, so that none reads what another is about to move.
    """
    Contributor.objects.select_for_update(no_key=True, of=("self",)).get(workers=worker_id)
    related = ("contributor__wallet", "stake", "unbonding")
    return Worker.objects.select_for_update(no_key=True, of=("self",)).select_related(*related).get(pk=worker_id)


def move(
    contributor: Contributor,
    after: float,
    *,
    reason: str,
    actor: str,
    assignment: Assignment | None = None,
    verified: int = 0,
    rejected: int = 0,
) -> None:
    """Set a locked contributor's reputation, count its answers, and keep the reason."""
    ReputationChange.objects.create(
        contributor=contributor,
        assignment=assignment,
        before=contributor.reputation,
        after=after,
        reason=reason,
        actor=actor,
    )
    Contributor.objects.filter(pk=contributor.pk).update(
        reputation=after, verified=F("verified") + verified, rejected=F("rejected") + rejected
    )


def deactivate_below_minimum(contributor: Contributor, score: float) -> list[Worker]:
    """Deactivate a contributor's workers if `score` is too low. Answers those that lose their way into Redis."""
    if reputation.is_trusted(score, settings.POLICY):
        return []
    workers = list(Worker.objects.filter(contributor=contributor, is_active=True))
    Worker.objects.filter(pk__in=[worker.pk for worker in workers]).update(is_active=False)
    for worker in workers:
        record("worker.suspended", actor=ACTOR, worker=worker, reason=f"The reputation fell to {score:g}.")
    return [worker for worker in workers if worker.enrolled_at]


def reinstate_trusted(contributor: Contributor, score: float, *, actor: str, reason: str) -> list[Worker]:
    """Take back what `deactivate_below_minimum` did, if `score` is enough again.

    A worker that an operator suspended stays so. Answers those that get their way into Redis back.
    """
    if contributor.suspended_at or not reputation.is_trusted(score, settings.POLICY):
        return []
    last = Event.objects.filter(worker=OuterRef("pk"), kind="worker.suspended").order_by("-id").values("actor")[:1]
    inactive = Worker.objects.filter(contributor=contributor, is_active=False)
    workers = list(inactive.annotate(suspended_by=Subquery(last)).filter(suspended_by=ACTOR))
    Worker.objects.filter(pk__in=[worker.pk for worker in workers]).update(is_active=True)
    for worker in workers:
        record("worker.reinstated", actor=actor, worker=worker, reason=reason)
    return [worker for worker in workers if worker.enrolled_at]
