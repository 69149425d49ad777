"""Verdicts: checking a result under a lease of its own, then paying for it, slashing for it, or giving it up."""

import logging
import secrets
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import IO, cast
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet

from marketplace import broker, notifications, storage
from marketplace.actions import payouts, standing
from marketplace.actions.endings import Verified, end_attempt, end_job, give_up_attempt
from marketplace.actions.events import record_all
from marketplace.actions.matrices import layout_of, stored_table
from marketplace.actions.payments import pay
from marketplace.actions.slashes import punish
from marketplace.actions.traces import about
from marketplace.actions.verdicts import verdict_columns
from marketplace.domain import escrow
from marketplace.domain.lifecycle import AssignmentState, Fault, JobState
from marketplace.models import (
    Assignment,
    Compiled,
    Dataset,
    Event,
    HeldVerdict,
    Job,
    Result,
    Verdict,
    Worker,
    database_now,
    insert_all,
)
from marketplace.tables.arrays import save_archive
from marketplace.verification.check import Finding, Task, check_answer, check_claim
from marketplace.verification.fitted import finish
from workers.catalog.base import Check
from workers.catalog.base import Fault as Blame
from workers.catalog.base import Verdict as Outcome

logger = logging.getLogger(__name__)

ACTOR = standing.ACTOR
SWEEP = 500  # held verdicts that one cycle settles
CHECKED = (
    *(field.name for field in Result._meta.fields),
    *("assignment__state", "assignment__worker__name", "assignment__job__matrix"),
    *(f"assignment__job__{name}" for name in ("model_type", "params", "seed", "features", "target", "request_id")),
    *(f"assignment__job__dataset__{field.name}" for field in Dataset._meta.fields if field.name != "columns"),
)
PAID = ("reward", "request_id", "client__user", "escrow__kind", "escrow__name")  # what paying for a right answer reads


@dataclass
class Checked:
    """A result that was checked and is still to be settled."""

    result: Result
    finding: Finding
    secret: int
    seconds: float
    file: IO[bytes] | None = None  # an accepted answer's arrays, until they are in their place

    @property
    def right(self) -> bool:
        return self.finding.check.verdict == "accepted"


def verify(*, assignment_id: UUID) -> str:
    """Check an assignment's result and settle it. Answers what came of it; "" where there was nothing to do.

    The result is leased first, so that of two verifiers one checks it; a verifier that dies leaves it to another. The
    check itself runs outside any transaction.
    """
    result = lease(assignment_id)
    if result is None:
        return ""
    with about(result.assignment.job, result.assignment), ExitStack() as files:
        if result.claim:
            outcome = settle_claim(result)
        else:
            checked = check(result, files)
            outcome = settle([checked]) if checked else release(result)
        logger.info("Checking assignment %s came to: %s.", assignment_id, outcome or "settled by another")
    return outcome


def check(result: Result, files: ExitStack) -> Checked | None:
    """Check an answer; None where that broke. What it keeps on the disk lives as long as `files`."""
    job = result.assignment.job
    secret = secrets.randbits(128)  # drawn now: the answer is in and cannot be fitted to it
    began = time.monotonic()
    try:
        finding = check_answer(task_of(job), storage.path("results", result.sha256), secret)
        seconds = time.monotonic() - began
        if finding.check.verdict == "accepted" and job.matrix is not None:
            finding = finish(finding, layout_of(job), stored_table(job.dataset))
    except Exception:
        logger.exception("Checking assignment %s failed", result.pk)
        return None
    checked = Checked(result, finding, secret, seconds)
    if checked.right:
        checked.file = files.enter_context(storage.temporary())
        save_archive(checked.file, finding.arrays)
    return checked


def lease(assignment_id: UUID) -> Result | None:
    """Have a result to oneself for a while; None where it is another's, or was checked."""
    now = database_now()
    policy = settings.POLICY
    leased = Result.objects.filter(
        free_at(now), assignment=assignment_id, checked=False, check_tries__lt=policy.verification_tries
    ).update(
        check_lease_expires_at=now + timedelta(seconds=policy.verification_lease_seconds),
        check_tries=F("check_tries") + 1,
    )
    if not leased:
        return None
    return to_check().get(assignment=assignment_id)


def free_at(now: datetime) -> Q:
    return Q(check_lease_expires_at=None) | Q(check_lease_expires_at__lt=now)


def to_check() -> QuerySet[Result]:
    """Results with what checking them reads, and settling them of their assignments: rows of a hundred columns."""
    related = ("assignment__job__dataset", "assignment__job__matrix", "assignment__worker")
    return Result.objects.select_related(*related).only(*CHECKED)


def task_of(job: Job) -> Task:
    """What the job asked for, and where its data are."""
    matrix = storage.path("matrices", job.data.matrix_sha256)
    return Task(job.model_type, job.params, job.seed, matrix, job.fitted_columns, job.fitted_target)


def release(result: Result) -> str:
    """After a check that broke: try again soon, or give the job up where it has broken too often."""
    if result.check_tries < settings.POLICY.verification_tries:
        Result.objects.filter(pk=result.pk, checked=False).update(check_lease_expires_at=None)
        return "released"
    return give_up_checking(result)


def give_up_checking(result: Result) -> str:
    """Past its tries, a result that could not be checked ends its job. Nobody is blamed, the client is refunded."""
    reason = "The answer could not be checked; this is the network's own fault and the reward is back."
    with transaction.atomic():
        if not _lock([result]):
            return ""
        assignment = result.assignment
        job = assignment.job
        end_attempt(assignment, AssignmentState.INCONCLUSIVE, actor=ACTOR, reason=reason, fault=Fault.SYSTEM)
        end_job(job, JobState.FAILED, escrow.on_failed(job.reward), actor=ACTOR, reason=reason, fault=Fault.SYSTEM)
    return "gave up"


def _locking(jobs: Sequence[UUID]) -> QuerySet[Job]:
    rows = Job.objects.select_for_update(no_key=True, of=("self",)).select_related("escrow", "client")
    return rows.filter(pk__among=jobs).order_by("pk")


_locked = Compiled(_locking, [UUID])
_locked_payable = Compiled(lambda jobs: _locking(jobs).only(*PAID), [UUID])


def _lock(results: Sequence[Result]) -> bool:
    """Lock the jobs of `results` and mark these as checked; False where another settled one of them.

    The assignments are as they were when the results were leased: until its result is checked, nobody may change one.
    """
    wanted = [result.assignment.job_id for result in results]
    # Several are all right, and one may be anything.
    jobs = {job.pk: job for job in (_locked_payable(wanted) if len(results) > 1 else _locked(wanted))}
    unchecked = Result.objects.filter(assignment__pk__among=[result.pk for result in results], checked=False)
    if unchecked.update(checked=True, check_lease_expires_at=None) != len(results):
        return False
    for result in results:
        result.assignment.job = jobs[result.assignment.job_id]
    return True


def settle_claim(result: Result) -> str:
    """What a worker blamed on the data is the data's fault only if it happens here too."""
    try:
        failure = check_claim(task_of(result.assignment.job))
    except Exception:
        logger.exception("Checking assignment %s failed", result.pk)
        return release(result)
    with transaction.atomic():
        if not _lock([result]):
            return ""
        assignment = result.assignment
        fault = Fault.JOB if failure else Fault.WORKER
        reason = failure or f"{assignment.worker.name} could not fit data that can be fitted: {result.claim}"
        end_attempt(assignment, AssignmentState.FAILED, actor=ACTOR, reason=reason, fault=fault)
        give_up_attempt(assignment.job, fault=fault, actor=ACTOR, reason=reason)
    return f"failed by the {fault}"


def settle(checked: Sequence[Checked]) -> str:
    """Write verdicts and let them take effect, all or none: one of any kind, or several that accept.

    Answers what came of them; "" where another settled one of them.
    """
    suspended: list[Worker] = []
    storage.flush_all([each.file for each in checked if each.file])
    with transaction.atomic():
        if not _lock([each.result for each in checked]):
            transaction.set_rollback(True)
            return ""
        _keep(checked)
        verdicts = insert_all(
            Verdict(assignment=each.result.assignment, **verdict_columns(each.finding.check, each.secret, each.seconds))
            for each in checked
        )
        if payouts.frozen():
            _hold(checked, verdicts)
            return "held"
        suspended = _conclude([(each.result.assignment, each.finding) for each in checked])
    if suspended:
        broker.expel(suspended)
    return checked[0].finding.check.verdict


def _keep(checked: Sequence[Checked]) -> None:
    """Put the arrays of answers that are right in their place, once: if this rolls back, they stay there.

    Not before it is settled: a verifier that comes late must not put its arrays over those that were paid for.
    """
    storage.keep_all((each.file, "answers", str(each.result.assignment.job_id)) for each in checked if each.file)
    for each in checked:
        each.file = None


def _hold(checked: Sequence[Checked], verdicts: Sequence[Verdict]) -> None:
    HeldVerdict.objects.bulk_create(
        HeldVerdict(verdict=verdict, scalars=each.finding.scalars)
        for each, verdict in zip(checked, verdicts, strict=True)
    )
    assignments = [each.result.assignment for each in checked]
    record_all(
        Event(kind="verdict.held", actor=ACTOR, job=each.job, assignment=each, worker=each.worker)
        for each in assignments
    )


def settle_held() -> int:
    """Let each verdict that waited for a thaw take effect, one transaction each. Answers how many did."""
    return sum(_settle_held(pk) for pk in held().values_list("pk", flat=True)[:SWEEP])


def held() -> QuerySet[HeldVerdict]:
    return HeldVerdict.objects.filter(settled_at=None)


def _settle_held(pk: int) -> int:
    suspended = []
    with transaction.atomic():
        held = HeldVerdict.objects.select_related("verdict__assignment__worker").get(pk=pk)
        assignment = held.verdict.assignment
        assignment.job = Job.objects.select_for_update(no_key=True).get(pk=assignment.job_id)
        if payouts.frozen():
            return 0
        if not HeldVerdict.objects.filter(pk=pk, settled_at=None).update(settled_at=database_now()):
            return 0
        found = held.verdict
        outcome, fault = cast(Outcome, found.outcome), cast(Blame, found.fault)
        check = Check(outcome, found.method, found.reason, fault=fault)
        suspended = _conclude([(assignment, Finding(check, held.scalars))])
    if suspended:
        broker.expel(suspended)
    return 1


def _conclude(found: Sequence[tuple[Assignment, Finding]]) -> list[Worker]:
    """What follows from verdicts, which all accept where there are several.

    Answers the workers that are deactivated by it, which lose their way into Redis.
    """
    suspended = []
    assignment, finding = found[0]
    if finding.check.verdict == "accepted":
        pay([Verified(each.job, each, its.check.reason, its.scalars) for each, its in found])
    elif finding.check.verdict == "rejected":
        suspended = punish(assignment.job, assignment, finding.check)
    else:
        reason, fault = finding.check.reason, Fault(finding.check.fault) if finding.check.fault else Fault.SYSTEM
        end_attempt(assignment, AssignmentState.INCONCLUSIVE, actor=ACTOR, reason=reason, fault=fault)
        give_up_attempt(assignment.job, fault=fault, actor=ACTOR, reason=reason)
    notifications.changed("jobs", "workers", "clients", "network")
    return suspended
