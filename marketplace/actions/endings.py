"""How an attempt ends and how a job ends: the only places that write an ended state.

All take a job whose row the caller has locked, in a transaction. Locks are taken in the order job, assignment,
contributor, worker, accounts (by id).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from marketplace import dispatch, notifications
from marketplace.actions.events import record, record_all
from marketplace.actions.ledger import Posting, post
from marketplace.domain import escrow
from marketplace.domain.errors import Conflict
from marketplace.domain.ledger import Code
from marketplace.domain.lifecycle import AssignmentState, Fault, JobState, after_lost_attempt
from marketplace.models import Account, Assignment, Event, Job, database_now, update_each


def end_attempt(
    assignment: Assignment,
    state: AssignmentState,
    *,
    actor: str,
    reason: str = "",
    fault: Fault | None = None,
) -> datetime:
    """Close an assignment by compare-and-set on the state that it was read in. Answers when it ended.

    Raises:
        Conflict: somebody else was first.
    """
    before, now = assignment.state, database_now()
    ended = {"state": state.value, "reason": reason, "fault": fault.value if fault else "", "ended_at": now}
    if not Assignment.objects.filter(pk=assignment.pk, state=before).update(**ended):
        raise Conflict("The assignment has ended already.")
    record(
        f"assignment.{state.value}",
        actor=actor,
        job=assignment.job,
        assignment=assignment,
        worker=assignment.worker,
        before=before,
        after=state.value,
        reason=reason,
    )
    notifications.changed("workers")
    dispatch.wake_for_a_free_worker()
    return now


@dataclass(frozen=True)
class Verified:
    """A right answer to a job that is locked, and what the client reads of it."""

    job: Job
    assignment: Assignment
    reason: str
    scalars: dict[str, Any]


def end_verified(ended: Sequence[Verified], postings: Sequence[Posting], *, actor: str) -> None:
    """End attempts and jobs whose answers are right, all in a fixed number of statements.

    `postings` empty the jobs' escrows.

    Raises:
        Conflict: somebody else was first at one of them.
    """
    now = database_now()
    before, after = AssignmentState.SUBMITTED.value, AssignmentState.ACCEPTED.value
    reasons = {each.assignment.pk: {"reason": each.reason} for each in ended}
    if update_each(Assignment, reasons, where={"state": before}, state=after, fault="", ended_at=now) != len(ended):
        raise Conflict("The assignment has ended already.")
    post(postings)
    before, after = JobState.COMPLETED.value, JobState.VERIFIED.value
    own = {each.job.pk: {"reason": each.reason, "scalars": each.scalars} for each in ended}
    if update_each(Job, own, where={"state": before}, state=after, fault="", ended_at=now) != len(ended):
        raise Conflict(f"The job is no longer {before}.")
    record_all(event for each in ended for event in _events_of(each, actor))
    notifications.changed("jobs", "clients", "workers", "network")
    dispatch.wake_for_a_free_worker()


def _events_of(ended: Verified, actor: str) -> tuple[Event, Event]:
    assignment = ended.assignment
    of_both = {"actor": actor, "job": ended.job, "reason": ended.reason}
    return (
        Event(
            kind="assignment.accepted",
            assignment=assignment,
            worker=assignment.worker,
            before=AssignmentState.SUBMITTED.value,
            after=AssignmentState.ACCEPTED.value,
            **of_both,
        ),
        Event(kind="job.verified", before=JobState.COMPLETED.value, after=JobState.VERIFIED.value, **of_both),
    )


def end_job(
    job: Job,
    state: JobState,
    split: escrow.Split,
    *,
    actor: str,
    reason: str,
    fault: Fault | None = None,
) -> None:
    """Empty the job's escrow as `split` says, then end it. The database refuses the one without the other."""
    postings = []
    if split.captured:
        wallet = Account.objects.get(contributor__workers=job.worker_id)
        postings.append(Posting(job.escrow, wallet, split.captured, Code.CAPTURE, f"job:{job.pk}:capture", job))
    if split.voided:
        wallet = Account.objects.get(client=job.client_id)
        postings.append(Posting(job.escrow, wallet, split.voided, Code.VOID, f"job:{job.pk}:void", job))
    post(postings)
    ended: dict[str, Any] = {"state": state.value, "reason": reason, "ended_at": database_now()}
    ended["fault"] = fault.value if fault else ""
    _change(job, state, ended, actor=actor, reason=reason)
    notifications.changed("jobs", "clients", "workers", "network")


def give_up_attempt(job: Job, *, fault: Fault, actor: str, reason: str) -> None:
    """After an attempt that brought no right answer: back into the queue, or to the job's end and a refund."""
    # What was called off (its owner wanted the machine back, it was drained) says nothing of the job.
    called_off = Assignment.objects.filter(job=job, state=AssignmentState.CANCELLED.value).count()
    state = after_lost_attempt(
        attempt=job.attempt - called_off,
        max_attempts=job.max_attempts,
        past_deadline=database_now() >= job.deadline_at,
        fault=fault,
    )
    if state is JobState.FAILED:
        end_job(job, state, escrow.on_failed(job.reward), actor=actor, reason=reason, fault=fault)
        return
    _change(job, state, {"state": state.value, "worker": None, "reason": reason}, actor=actor, reason=reason)
    notifications.changed("jobs", "network")
    dispatch.wake_coordinator()


def _change(job: Job, state: JobState, columns: dict, *, actor: str, reason: str) -> None:
    if not Job.objects.filter(pk=job.pk, state=job.state, attempt=job.attempt).update(**columns):
        raise Conflict(f"The job is no longer {job.state}.")
    record(f"job.{state.value}", actor=actor, job=job, before=job.state, after=state.value, reason=reason)


def fail_past_deadline(job: Job) -> None:
    """Fail a job whose deadline has passed before an answer was delivered."""
    live = Assignment.objects.filter(job=job, fence=job.attempt, state__in=["dispatched", "started"]).first()
    if live:
        end_attempt(live, AssignmentState.CANCELLED, actor="coordinator", reason="the job's deadline passed")
    reason = "No right answer came before the deadline; the reward is back."
    end_job(job, JobState.FAILED, escrow.on_failed(job.reward), actor="coordinator", reason=reason, fault=Fault.SYSTEM)
