"""Verdicts: checking a result under a lease of its own, then paying for it, slashing for it, or giving it up."""

import logging
import secrets
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q

from marketplace import broker, notifications, storage
from marketplace.actions import payouts, standing
from marketplace.actions.endings import end_attempt, end_job, give_up_attempt
from marketplace.actions.events import record
from marketplace.actions.ledger import Posting, post, treasury
from marketplace.actions.matrices import layout_of, stored_table
from marketplace.actions.traces import about
from marketplace.domain import escrow, reputation
from marketplace.domain.ledger import Code
from marketplace.domain.lifecycle import AssignmentState, Fault, JobState
from marketplace.domain.money import in_words
from marketplace.models import Account, Assignment, HeldVerdict, Job, Result, Verdict, Worker, database_now
from marketplace.tables.arrays import save_archive
from marketplace.verification.check import Finding, Task, check_answer, check_claim
from marketplace.verification.fitted import finish
from workers.catalog.base import Check
from workers.catalog.base import Fault as Blame
from workers.catalog.base import Verdict as Outcome

logger = logging.getLogger(__name__)

ACTOR = standing.ACTOR
SWEEP = 500  # held verdicts that one cycle settles


def verify(*, assignment_id: UUID) -> str:
    """Check an assignment's result and settle it. Answers what came of it; "" where there was nothing to do.

    The result is leased first, so that of two verifiers one checks it; a verifier that dies leaves it to another. The
    check itself runs outside any transaction.
    """
    result = _lease(assignment_id)
    if result is None:
        return ""
    with about(result.assignment.job, result.assignment):
        outcome = _check(result)
        logger.info("Checking assignment %s came to: %s.", assignment_id, outcome or "settled by another")
    return outcome


def _check(result: Result) -> str:
    assignment = result.assignment
    secret = secrets.randbits(128)  # drawn now: the answer is in and cannot be fitted to it
    began = time.monotonic()
    task = task_of(assignment.job)
    try:
        if result.claim:
            return _settle_claim(result, check_claim(task))
        finding = check_answer(task, storage.path("results", result.sha256), secret)
        seconds = time.monotonic() - began
        if finding.check.verdict == "accepted" and assignment.job.matrix is not None:
            finding = finish(finding, layout_of(assignment.job), stored_table(assignment.job.dataset))
    except Exception:
        logger.exception("Checking assignment %s failed", assignment.pk)
        return _release(result)
    if finding.check.verdict != "accepted":
        return _settle(result, finding, secret, seconds)
    with storage.temporary() as file:
        save_archive(file, finding.arrays)
        storage.flush(file)
        # Kept once it is settled: a verifier that comes late must not put its arrays over those that were paid for.
        name = str(assignment.job_id)
        return _settle(result, finding, secret, seconds, lambda: storage.keep(file, "answers", name, flushed=True))


def _lease(assignment_id: UUID) -> Result | None:
    now = database_now()
    policy = settings.POLICY
    free = Q(check_lease_expires_at=None) | Q(check_lease_expires_at__lt=now)
    leased = Result.objects.filter(
        free, assignment=assignment_id, checked=False, check_tries__lt=policy.verification_tries
    ).update(
        check_lease_expires_at=now + timedelta(seconds=policy.verification_lease_seconds),
        check_tries=F("check_tries") + 1,
    )
    if not leased:
        return None
    rows = Result.objects.select_related("assignment__job__dataset", "assignment__worker")
    return rows.defer("assignment__job__dataset__columns").get(assignment=assignment_id)


def task_of(job: Job) -> Task:
    """What the job asked for, and where its data are."""
    matrix = storage.path("matrices", job.data.matrix_sha256)
    return Task(job.model_type, job.params, job.seed, matrix, job.fitted_columns, job.fitted_target)


def _release(result: Result) -> str:
    """After a check that broke: try again soon, or give the job up where it has broken too often."""
    if result.check_tries < settings.POLICY.verification_tries:
        Result.objects.filter(pk=result.pk, checked=False).update(check_lease_expires_at=None)
        return "released"
    return give_up_checking(result)


def give_up_checking(result: Result) -> str:
    """Past its tries, a result that could not be checked ends its job. Nobody is blamed, the client is refunded."""
    reason = "The answer could not be checked; this is the network's own fault and the reward is back."
    with transaction.atomic():
        job, assignment = _lock(result)
        if job is None or assignment is None:
            return ""
        end_attempt(assignment, AssignmentState.INCONCLUSIVE, actor=ACTOR, reason=reason, fault=Fault.SYSTEM)
        end_job(job, JobState.FAILED, escrow.on_failed(job.reward), actor=ACTOR, reason=reason, fault=Fault.SYSTEM)
    return "gave up"


def _lock(result: Result) -> tuple[Job | None, Assignment | None]:
    """The result's job, locked, and its assignment; marks the result as checked. (None, None) if it was settled.

    The assignment is as it was when the result was leased: until its result is checked, nobody may change it.
    """
    assignment = result.assignment
    rows = Job.objects.select_for_update(no_key=True, of=("self",)).select_related("escrow", "client")
    job = rows.get(pk=assignment.job_id)
    if not Result.objects.filter(pk=result.pk, checked=False).update(checked=True, check_lease_expires_at=None):
        return None, None
    assignment.job = job
    return job, assignment


def _settle_claim(result: Result, failure: str | None) -> str:
    """What a worker blamed on the data is the data's fault only if it happens here too."""
    with transaction.atomic():
        job, assignment = _lock(result)
        if job is None or assignment is None:
            return ""
        fault = Fault.JOB if failure else Fault.WORKER
        reason = failure or f"{assignment.worker.name} could not fit data that can be fitted: {result.claim}"
        end_attempt(assignment, AssignmentState.FAILED, actor=ACTOR, reason=reason, fault=fault)
        give_up_attempt(job, fault=fault, actor=ACTOR, reason=reason)
    return f"failed by the {fault}"


def _settle(
    result: Result, finding: Finding, secret: int, seconds: float, keep: Callable[[], object] = lambda: None
) -> str:
    suspended = None
    with transaction.atomic():
        job, assignment = _lock(result)
        if job is None or assignment is None:
            return ""
        keep()
        check = finding.check
        verdict = Verdict.objects.create(assignment=assignment, **verdict_columns(check, secret, seconds))
        if payouts.frozen():
            HeldVerdict.objects.create(verdict=verdict, scalars=finding.scalars)
            record("verdict.held", actor=ACTOR, job=job, assignment=assignment, worker=assignment.worker)
            return "held"
        suspended = _conclude(job, assignment, finding)
    if suspended:
        broker.expel(suspended)
    return check.verdict


def settle_held() -> int:
    """Let each verdict that waited for a thaw take effect, one transaction each. Answers how many did."""
    waiting = HeldVerdict.objects.filter(settled_at=None).values_list("pk", flat=True)
    return sum(_settle_held(pk) for pk in waiting[:SWEEP])


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
        suspended = _conclude(assignment.job, assignment, Finding(check, held.scalars))
    if suspended:
        broker.expel(suspended)
    return 1


def _conclude(job: Job, assignment: Assignment, finding: Finding) -> list[Worker]:
    """What follows from a verdict. Answers the workers that it deactivates, which lose their way into Redis."""
    check, suspended = finding.check, []
    if check.verdict == "accepted":
        _pay(job, assignment, finding)
    elif check.verdict == "rejected":
        suspended = _punish(job, assignment, check)
    else:
        fault = Fault(check.fault) if check.fault else Fault.SYSTEM
        end_attempt(assignment, AssignmentState.INCONCLUSIVE, actor=ACTOR, reason=check.reason, fault=fault)
        give_up_attempt(job, fault=fault, actor=ACTOR, reason=check.reason)
    notifications.changed("jobs", "workers", "clients", "network")
    return suspended


def verdict_columns(check: Check, secret: int, seconds: float) -> dict[str, Any]:
    """A check as a row keeps it, with the randomness that it used and what it took."""

    def number(value: float) -> float | None:
        return value if abs(value) < float("inf") else None  # neither NaN nor an infinity goes into JSON

    return {
        "outcome": check.verdict,
        "method": check.method,
        "reason": check.reason,
        "fault": check.fault,
        "measured": number(check.measured),
        "tolerance": number(check.tolerance),
        "bound": check.bound,
        "error_chance": check.error_chance,
        "detail": {name: number(value) for name, value in check.detail.items()},
        "seed": f"{secret:032x}",
        "seconds": seconds,
    }


def _pay(job: Job, assignment: Assignment, finding: Finding) -> None:
    worker = standing.lock_worker(assignment.worker_id)
    contributor = worker.contributor
    ended_at = end_attempt(assignment, AssignmentState.ACCEPTED, actor=ACTOR, reason=finding.check.reason)
    repaid = escrow.repayment(earned=job.reward, lent=worker.lent, share=settings.POLICY.loan_repayment_share)
    key = f"assignment:{assignment.pk}:repay"
    repayment = [Posting(contributor.wallet, treasury(), repaid, Code.LEND, key, job)] if repaid else []
    end_job(
        job,
        JobState.VERIFIED,
        escrow.on_verified(job.reward),
        actor=ACTOR,
        reason=finding.check.reason,
        scalars=finding.scalars,
        wallet=contributor.wallet,
        also=repayment,
        ended_at=ended_at,
    )
    Worker.objects.filter(pk=worker.pk).update(jobs_completed=F("jobs_completed") + 1, lent=F("lent") - repaid)
    # A job of one's own runs like any other, but earns no reputation.
    if contributor.user_id is None or contributor.user_id != job.client.user_id:
        after = reputation.after_verified(contributor.reputation, settings.POLICY)
        reason = f"Job {job.pk} was verified."
        standing.move(contributor, after, reason=reason, actor=ACTOR, assignment=assignment, verified=1)


def _punish(job: Job, assignment: Assignment, check: Check) -> list[Worker]:
    """Slash and mark down for a wrong answer. Answers the workers that are deactivated by it."""
    worker, policy = standing.lock_worker(assignment.worker_id), settings.POLICY
    contributor = worker.contributor
    end_attempt(assignment, AssignmentState.REJECTED, actor=ACTOR, reason=check.reason, fault=Fault.WORKER)
    total = _slash(worker, assignment, job)
    after = reputation.after_rejected(contributor.reputation, policy)
    reason = f"{check.reason} It cost {in_words(total)} of stake."
    standing.move(contributor, after, reason=reason, actor=ACTOR, assignment=assignment, rejected=1)
    record("worker.slashed", actor=ACTOR, job=job, assignment=assignment, worker=worker, reason=reason)
    give_up_attempt(job, fault=Fault.WORKER, actor=ACTOR, reason=check.reason)
    return standing.deactivate_below_minimum(contributor, after)


def _slash(worker: Worker, assignment: Assignment, job: Job) -> int:
    """Slash the locked worker's stake, and what is on its way out; a share goes to the client. Answers the total."""
    policy = settings.POLICY
    cost = escrow.split_slash(
        stake=worker.stake.balance,
        unbonding=worker.unbonding.balance if worker.unbonding else 0,
        lent=worker.lent,
        reward=job.reward,
        share=policy.slash_share,
        to_client_share=policy.slash_to_client_share,
    )
    client, treasury_ = Account.objects.get(client=job.client_id), treasury()
    owed_client, postings = cost.to_client, []
    for source, amount in ((worker.stake, cost.from_stake), (worker.unbonding, cost.from_unbonding)):
        for to, part in ((client, min(amount, owed_client)), (treasury_, amount - min(amount, owed_client))):
            if part and source:
                key = f"assignment:{assignment.pk}:slash:{source.kind}:{to.kind}"
                postings.append(Posting(source, to, part, Code.SLASH, key, job))
        owed_client -= min(amount, owed_client)
    post(postings)
    return cost.total
