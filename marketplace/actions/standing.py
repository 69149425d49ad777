"""Reputation: moving it, and taking workers out of the market when it falls too low."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import F, OuterRef, Subquery

from marketplace.actions.events import record
from marketplace.domain import reputation
from marketplace.models import (
    Assignment,
    Compiled,
    Contributor,
    Event,
    ReputationChange,
    Worker,
    insert_all,
    update_each,
)

ACTOR = "coordinator"
# What a right answer moves or is moved by.
EARNS = (
    *("jobs_completed", "lent", "contributor__reputation", "contributor__verified", "contributor__user"),
    *("contributor__wallet__kind", "contributor__wallet__name"),
)


def lock_worker(worker_id: Any) -> Worker:
    """A worker with its contributor and accounts, as they are once both rows are locked: the contributor's first.

    Whatever moves stake, a loan or reputation holds this lock, so that none reads what another is about to move.
    """
    _lock_contributors([worker_id])
    related = ("contributor__wallet", "stake", "unbonding")
    return Worker.objects.select_for_update(no_key=True, of=("self",)).select_related(*related).get(pk=worker_id)


def lock_earners(worker_ids: Collection[Any]) -> dict[Any, Worker]:
    """Several workers, locked as `lock_worker` does it and each in order, with what `EARNS` names; by their ids."""
    _lock_contributors(worker_ids)
    return {worker.pk: worker for worker in _earners(worker_ids)}


_lock_contributors = Compiled(
    lambda workers: (
        Contributor.objects.select_for_update(no_key=True)
        .filter(pk__in=Worker.objects.filter(pk__among=workers).values("contributor"))
        .order_by("pk")
        .values_list("pk")
    ),
    [UUID],
)
_earners = Compiled(
    lambda workers: (
        Worker.objects.select_for_update(no_key=True, of=("self",))
        .select_related("contributor__wallet")
        .only(*EARNS)
        .filter(pk__among=workers)
        .order_by("pk")
    ),
    [UUID],
)


def credit(answers: Sequence[tuple[Contributor, Assignment]], *, actor: str) -> None:
    """Count right answers for their locked contributors, in order, and move reputations, with the reason of each.

    A change starts from what the reputation is; the database holds that. So of those that move one reputation each
    waits for the one before, and all others go together: a reputation that is full stays where it is.
    """
    scores = {contributor.pk: contributor.reputation for contributor, _ in answers}
    counts = {contributor.pk: contributor.verified for contributor, _ in answers}
    while answers:
        wave, waiting, moved = list[ReputationChange](), list[tuple[Contributor, Assignment]](), dict[Any, float]()
        for contributor, assignment in answers:
            key = contributor.pk
            if key in moved:
                waiting.append((contributor, assignment))
                continue
            before, after = scores[key], reputation.after_verified(scores[key], settings.POLICY)
            change = ReputationChange(contributor=contributor, assignment=assignment, before=before, after=after)
            change.reason, change.actor = f"Job {assignment.job_id} was verified.", actor
            wave.append(change)
            counts[key] += 1
            if after != before:
                moved[key] = after
        scores |= moved
        insert_all(wave, read_back=False)
        keys = {change.contributor_id for change in wave}
        update_each(Contributor, {key: {"reputation": scores[key], "verified": counts[key]} for key in keys})
        answers = waiting


def move(
    contributor: Contributor,
    after: float,
    *,
    reason: str,
    actor: str,
    assignment: Assignment | None = None,
    rejected: int = 0,
) -> None:
    """Set a locked contributor's reputation, count its wrong answers, and keep the reason."""
    ReputationChange.objects.create(
        contributor=contributor,
        assignment=assignment,
        before=contributor.reputation,
        after=after,
        reason=reason,
        actor=actor,
    )
    Contributor.objects.filter(pk=contributor.pk).update(reputation=after, rejected=F("rejected") + rejected)


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
