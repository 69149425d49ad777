"""What time does: leases and deadlines that ran out, messages that were lost, checks that nobody finished."""

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from marketplace import broker, dispatch
from marketplace.actions import no_shows
from marketplace.actions.checking import SMALL
from marketplace.actions.endings import end_attempt, fail_past_deadline, give_up_attempt
from marketplace.actions.pulse import OPEN, web_is_away
from marketplace.actions.settlement import ACTOR, give_up_checking
from marketplace.domain.errors import Conflict
from marketplace.domain.lifecycle import AssignmentState, Fault
from marketplace.models import Assignment, Job, Result, database_now

logger = logging.getLogger(__name__)

SWEEP = 500  # rows of each kind that one cycle takes on
VERIFICATION_QUEUE = "verification"


def expire_leases() -> int:
    """Take each assignment whose lease ran out from its worker, one transaction each. Answers how many.

    While the web process is away none runs out: nobody could have renewed it.
    """
    now = database_now()
    if web_is_away(now):
        return 0
    return sum(_expire(pk) for pk in expired(now).values_list("pk", flat=True)[:SWEEP])


def expired(now: datetime) -> QuerySet[Assignment]:
    return Assignment.objects.filter(ended_at=None, state__in=OPEN, lease_expires_at__lt=now)


def _expire(assignment_id) -> int:
    with transaction.atomic():
        found = Assignment.objects.filter(pk=assignment_id).values_list("job", flat=True)
        job = Job.objects.select_for_update(no_key=True).get(pk__in=found)
        rows = Assignment.objects.select_related("worker__host", "job").select_for_update(no_key=True, of=("self",))
        assignment = rows.get(pk=assignment_id)  # locked: a heartbeat that came in time may still be committing
        if assignment.state not in OPEN or assignment.lease_expires_at >= database_now():
            return 0  # renewed, or answered, while we waited for the lock
        started = assignment.state == AssignmentState.STARTED.value
        fault = Fault.WORKER if started else Fault.SYSTEM
        name = assignment.worker.name
        reason = f"{name} fell silent while computing." if started else f"{name} did not begin in time."
        end_attempt(assignment, AssignmentState.LOST, actor=ACTOR, reason=reason, fault=fault)
        expelled = no_shows.charge(job, assignment) if started else []
        give_up_attempt(job, fault=fault, actor=ACTOR, reason=reason)
    if expelled:
        broker.expel(expelled)
    return 1


def expire_deadlines() -> int:
    """Fail each job whose deadline passed before an answer was delivered. Answers how many."""
    failed = 0
    for job_id in past_deadline(database_now()).values_list("pk", flat=True)[:SWEEP]:
        with transaction.atomic():
            job = Job.objects.select_for_update(no_key=True).get(pk=job_id)
            if job.state in ("pending", "assigned", "computing"):
                fail_past_deadline(job)
                failed += 1
    return failed


def past_deadline(now: datetime) -> QuerySet[Job]:
    return Job.objects.filter(ended_at=None, deadline_at__lt=now, state__in=["pending", "assigned", "computing"])


def resend_lost() -> int:
    """Send again word of each assignment that was not taken up soon after it was sent."""
    now = database_now()
    found = list(lost(now).select_related("worker__host").order_by("created_at")[:SWEEP])
    still = Assignment.objects.filter(pk__in=[a.pk for a in found], state=AssignmentState.DISPATCHED.value)
    still.update(sent_at=now)
    dispatch.send_assignments([dispatch.Message(str(a.pk), a.worker.machine.queue) for a in found])
    return len(found)


def lost(now: datetime) -> QuerySet[Assignment]:
    late = now - timedelta(seconds=settings.POLICY.resend_after_seconds)
    return Assignment.objects.filter(
        Q(sent_at=None) | Q(sent_at__lt=late),
        ended_at=None,
        state=AssignmentState.DISPATCHED.value,
        lease_expires_at__gte=now,
        created_at__lt=late,
    )


def recheck_unsettled() -> int:
    """Send again word of results that wait for a check, and give up those that were tried too often.

    Word that still waits in its queue is not lost: only as many go out again, the oldest first, as there are more
    results than messages. Else every cycle would announce a backlog of checks anew, faster than it is worked off.
    """
    waiting = unsettled(database_now())
    if waiting.filter(SMALL).exists():
        dispatch.verify_waiting_now()  # one call for all of them
    found = list(waiting.exclude(SMALL).select_related("assignment__worker").order_by("received_at")[:SWEEP])
    unheard = max(0, len(found) - broker.waiting(VERIFICATION_QUEUE)) if found else 0
    for number, result in enumerate(found):
        if result.check_tries >= settings.POLICY.verification_tries:
            try:
                give_up_checking(result)
            except Conflict:
                logger.info("Assignment %s was settled meanwhile.", result.pk)
        elif number < unheard:
            dispatch.verify_now(str(result.pk))
    return min(len(found), unheard)


def unsettled(now: datetime) -> QuerySet[Result]:
    late = now - timedelta(seconds=settings.POLICY.resend_after_seconds)
    free = Q(check_lease_expires_at=None, received_at__lt=late) | Q(check_lease_expires_at__lt=now)
    return Result.objects.filter(free, checked=False)
