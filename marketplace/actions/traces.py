"""The ids that a log line carries, so that one grep follows a job through all processes."""

from contextlib import AbstractContextManager

from structlog.contextvars import bound_contextvars, get_contextvars

from marketplace.models import Assignment, Job


def about(job: Job, assignment: Assignment | None = None) -> AbstractContextManager[None]:
    """Log lines inside carry `job_id`, `assignment_id`, and as `job_request_id` the id of the submitting request."""
    ids = {"job_id": str(job.pk), "job_request_id": job.request_id}
    if assignment is not None:
        ids["assignment_id"] = str(assignment.pk)
    return bound_contextvars(**ids)


def this_request() -> str:
    """The id of the request that is answered here; "" where none is."""
    return str(get_contextvars().get("request_id", ""))
