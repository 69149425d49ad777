"""Reputation: moving it, and taking workers out of the market when it falls too low."""

from django.conf import settings
from django.db.models import F

from marketplace.actions.events import record
from marketplace.domain import reputation
from marketplace.models import Assignment, Contributor, ReputationChange, Worker


def lock_contributor(worker: Worker) -> Contributor:
    return Contributor.objects.select_for_update(no_key=True, of=("self",)).get(pk=worker.contributor_id)


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


def deactivate_below_minimum(contributor: Contributor, score: float, *, actor: str) -> list[Worker]:
    """Deactivate a contributor's workers if `score` is too low. Answers those that lose their way into Redis."""
    if reputation.is_trusted(score, settings.POLICY):
        return []
    workers = list(Worker.objects.filter(contributor=contributor, is_active=True))
    Worker.objects.filter(pk__in=[worker.pk for worker in workers]).update(is_active=False)
    for worker in workers:
        record("worker.suspended", actor=actor, worker=worker, reason=f"The reputation fell to {score:g}.")
    return [worker for worker in workers if worker.enrolled_at]
