"""Checking a contributor's answers once more, as rows beside the verdicts. No money moves and no verdict changes."""

import logging
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from marketplace import dispatch, storage
from marketplace.actions.events import record
from marketplace.actions.settlement import task_of
from marketplace.actions.verdicts import verdict_columns
from marketplace.domain.errors import Refused
from marketplace.models import Contributor, Result, Reverification, database_now
from marketplace.verification.check import check_answer

logger = logging.getLogger(__name__)

MOST = 1000
SWEEP = 100  # rows that one cycle sends again


@dataclass(frozen=True)
class Report:
    """What checking again found so far."""

    asked: int
    waiting: int
    differing: list[Reverification]

    def sentence(self) -> str:
        waiting = f", {self.waiting} still wait" if self.waiting else ""
        return f"{self.asked - self.waiting} of {self.asked} checked again, {len(self.differing)} differ{waiting}."


def ask(*, contributor: Contributor, count: int, actor: str) -> list[Reverification]:
    """Write down that the contributor's last `count` checked answers are to be checked again; the coordinator does it.

    Raises:
        Refused: a count that is not from 1 to `MOST`.
    """
    if not 1 <= count <= MOST:
        raise Refused(f"The number of answers must be from 1 to {MOST:,}.")
    answers = Result.objects.filter(
        assignment__worker__contributor=contributor, assignment__verdict__isnull=False
    ).exclude(sha256="")
    chosen = list(answers.order_by("-received_at").values_list("pk", flat=True)[:count])
    with transaction.atomic():
        rows = Reverification.objects.bulk_create(Reverification(assignment_id=pk, actor=actor) for pk in chosen)
        reason = f"the last {len(rows)} answers of {contributor.name} are checked again"
        record("contributor.reverified", actor=actor, reason=reason)
    return rows


def send_waiting() -> int:
    """Have those that wait checked; one that was sent long ago is sent again. Answers how many were sent."""
    now, sent = database_now(), 0
    for pk in waiting(now).order_by("id").values_list("pk", flat=True)[:SWEEP]:
        if not dispatch.reverify_now(pk):
            break
        Reverification.objects.filter(pk=pk).update(sent_at=now)
        sent += 1
    return sent


def waiting(now: datetime) -> QuerySet[Reverification]:
    late = now - timedelta(seconds=settings.POLICY.verification_lease_seconds)
    return Reverification.objects.filter(Q(sent_at=None) | Q(sent_at__lt=late), checked_at=None)


def check(*, row: int) -> str:
    """Check one answer again, with new randomness. Answers the outcome; "" where it was checked meanwhile."""
    found = (
        Reverification.objects.filter(pk=row, checked_at=None)
        .select_related("assignment__job__dataset", "assignment__result")
        .first()
    )
    if found is None:
        return ""
    secret, began = secrets.randbits(128), time.monotonic()
    task = task_of(found.assignment.job)
    answer = storage.path("results", found.assignment.result.sha256)
    if not (answer.is_file() and task.matrix.is_file()):
        columns = {"outcome": "missing", "reason": "The answer or its data are no longer kept."}
    else:
        try:
            finding = check_answer(task, answer, secret)
            columns = verdict_columns(finding.check, secret, time.monotonic() - began)
        except Exception as problem:
            logger.exception("Checking assignment %s again failed", found.assignment_id)
            reason = f"The check broke ({type(problem).__name__}); the log has more."
            columns = {"outcome": "inconclusive", "reason": reason, "fault": "system"}
    Reverification.objects.filter(pk=row, checked_at=None).update(checked_at=database_now(), **columns)
    return str(columns["outcome"])


def report(rows: Iterable[int]) -> Report:
    """What came of these rows."""
    found = list(
        Reverification.objects.filter(pk__in=list(rows)).select_related(
            "assignment__verdict", "assignment__job", "assignment__worker"
        )
    )
    waiting = sum(row.checked_at is None for row in found)
    return Report(len(found), waiting, [row for row in found if row.differs])
