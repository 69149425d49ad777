"""Contesting a rejection, and what an operator makes of it."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Sum

from marketplace import broker, notifications
from marketplace.actions import standing
from marketplace.actions.events import record
from marketplace.actions.ledger import Posting, post, treasury
from marketplace.actions.stakes import find_worker
from marketplace.domain.errors import Conflict, NotFound, Refused
from marketplace.domain.ledger import Code
from marketplace.models import Contest, Transfer, Verdict, database_now

MAX_NOTE = 2000


def contest(*, worker_name: str, assignment_id: UUID, note: object, user: Any) -> Contest:
    """Object to a rejected answer of one's own worker.

    Raises:
        NotFound: no such rejection of this user's worker.
        Refused: no note, or one that is too long, or too late.
        Conflict: it was contested before.
    """
    worker = find_worker(name=worker_name, user=user)
    if not isinstance(note, str) or not 1 <= len(note.strip()) <= MAX_NOTE:
        raise Refused(f"note must say in 1 to {MAX_NOTE:,} characters why the answer was right.")
    verdict = Verdict.objects.filter(assignment=assignment_id, assignment__worker=worker, outcome="rejected").first()
    if verdict is None:
        raise NotFound(f"{worker.name} has no rejected answer {assignment_id}.")
    if verdict.created_at < database_now() - timedelta(seconds=settings.POLICY.contest_seconds):
        raise Refused("The time in which this rejection could be contested is over.")
    try:
        with transaction.atomic():
            made = Contest.objects.create(verdict=verdict, note=note.strip(), opened_by=worker.contributor.name)
            record(
                "contest.opened",
                actor=worker.contributor.name,
                assignment=verdict.assignment,
                worker=worker,
                reason=made.note,
            )
            notifications.changed("workers")
    except IntegrityError:
        raise Conflict("This rejection was contested already.") from None
    return made


def uphold(*, contest_id: int, actor: str, note: str = "") -> None:
    """Let a rejection stand.

    Raises:
        Conflict: it was decided already.
    """
    with transaction.atomic():
        _decide(contest_id, Contest.Outcome.UPHELD, actor, note)


def overturn(*, contest_id: int, actor: str, note: str = "") -> int:
    """Take a rejection back: the slash and the reputation are restored by new rows; the old ones stay.

    What a client got of the slash it keeps; the treasury bears it. Answers the micro-tokens that came back.

    Raises:
        Conflict: it was decided already, or has no effect yet.
        InsufficientFunds: the treasury cannot bear it.
    """
    with transaction.atomic():
        found = _decide(contest_id, Contest.Outcome.OVERTURNED, actor, note)
        assignment = found.verdict.assignment
        worker = standing.lock_worker(assignment.worker_id)
        lost = assignment.reputation_changes.filter(after__lte=F("before")).first()  # the rejection's
        if lost is None:
            raise Conflict("This rejection is held while payouts are frozen; decide once they are thawed.")
        prefix = f"assignment:{assignment.pk}:slash"
        slashed = Transfer.objects.filter(idempotency_key__startswith=prefix).aggregate(total=Sum("amount"))["total"]
        if slashed:
            key = f"assignment:{assignment.pk}:overturn"
            post([Posting(treasury(), worker.stake, slashed, Code.OVERTURN, key, assignment.job)])
        after = min(100.0, worker.contributor.reputation + lost.before - lost.after)
        reason = f"{actor} overturned the rejection of {assignment.pk}."
        standing.move(worker.contributor, after, reason=reason, actor=actor, assignment=assignment, rejected=-1)
        reinstated = standing.reinstate_trusted(worker.contributor, after, actor=actor, reason=reason)
        notifications.changed("workers", "network")
    if reinstated:
        broker.admit(reinstated)
    return slashed or 0


def _decide(contest_id: int, outcome: str, actor: str, note: str) -> Contest:
    decided = Contest.objects.filter(pk=contest_id, outcome=Contest.Outcome.OPEN).update(
        outcome=outcome, decided_by=actor, decided_note=note[:MAX_NOTE], decided_at=database_now()
    )
    if not decided:
        raise Conflict("This contest was decided already.")
    found = Contest.objects.select_related("verdict__assignment__worker", "verdict__assignment__job").get(pk=contest_id)
    assignment = found.verdict.assignment
    record(f"contest.{outcome}", actor=actor, assignment=assignment, worker=assignment.worker, reason=note[:MAX_NOTE])
    return found
