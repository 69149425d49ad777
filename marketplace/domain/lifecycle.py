"""What a job and an assignment may become. The database's triggers hold the same tables."""

from enum import StrEnum

from marketplace.domain.errors import Conflict


class JobState(StrEnum):
    PENDING = "pending"  # waits for a worker; its reward is held
    ASSIGNED = "assigned"  # a worker was told; it has not begun
    COMPUTING = "computing"  # the worker asked for its specification and is at it
    COMPLETED = "completed"  # an answer is in and is being checked
    VERIFIED = "verified"  # the answer was right and the worker is paid
    FAILED = "failed"  # no right answer came; the reward is back
    CANCELLED = "cancelled"  # the client called it off


class AssignmentState(StrEnum):
    DISPATCHED = "dispatched"  # sent to the worker's queue
    STARTED = "started"  # the worker computes
    SUBMITTED = "submitted"  # its answer is being checked
    ACCEPTED = "accepted"  # right, and paid
    REJECTED = "rejected"  # wrong, and slashed
    INCONCLUSIVE = "inconclusive"  # neither could be shown; nobody is blamed
    FAILED = "failed"  # the worker could not, or said so
    LOST = "lost"  # its lease ran out
    CANCELLED = "cancelled"  # the job was called off


class Fault(StrEnum):
    JOB = "job"  # the data or the parameters: no worker could have done it
    WORKER = "worker"
    SYSTEM = "system"  # the network's own doing: costs nobody reputation


J, A = JobState, AssignmentState

JOB_TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    J.PENDING: frozenset({J.ASSIGNED, J.FAILED, J.CANCELLED}),
    J.ASSIGNED: frozenset({J.COMPUTING, J.PENDING, J.FAILED, J.CANCELLED}),
    J.COMPUTING: frozenset({J.COMPLETED, J.PENDING, J.FAILED, J.CANCELLED}),
    J.COMPLETED: frozenset({J.VERIFIED, J.PENDING, J.FAILED}),
    J.VERIFIED: frozenset(),
    J.FAILED: frozenset(),
    J.CANCELLED: frozenset(),
}
ENDED = frozenset(state for state, after in JOB_TRANSITIONS.items() if not after)

ASSIGNMENT_TRANSITIONS: dict[AssignmentState, frozenset[AssignmentState]] = {
    A.DISPATCHED: frozenset({A.STARTED, A.FAILED, A.LOST, A.CANCELLED}),
    A.STARTED: frozenset({A.SUBMITTED, A.FAILED, A.LOST, A.CANCELLED}),
    A.SUBMITTED: frozenset({A.ACCEPTED, A.REJECTED, A.INCONCLUSIVE, A.FAILED}),
    A.ACCEPTED: frozenset(),
    A.REJECTED: frozenset(),
    A.INCONCLUSIVE: frozenset(),
    A.FAILED: frozenset(),
    A.LOST: frozenset(),
    A.CANCELLED: frozenset(),
}
LIVE = frozenset(state for state, after in ASSIGNMENT_TRANSITIONS.items() if after)

# The job's state that each live state of its assignment stands for.
JOB_STATE_OF = {A.DISPATCHED: J.ASSIGNED, A.STARTED: J.COMPUTING, A.SUBMITTED: J.COMPLETED}


def require_transition(before: str, after: JobState) -> None:
    """Raise `Conflict` unless a job may go from `before` to `after`."""
    if after not in JOB_TRANSITIONS[JobState(before)]:
        raise Conflict(f"A job that is {before} cannot become {after.value}.")


def after_lost_attempt(*, attempt: int, max_attempts: int, past_deadline: bool, fault: Fault) -> JobState:
    """Where a job goes whose attempt brought no right answer: back to the queue, or to its end."""
    if fault is Fault.JOB or past_deadline or attempt >= max_attempts:
        return JobState.FAILED
    return JobState.PENDING
