"""A job's page: what was asked, what happened, who did it, what came of it and who paid whom."""

from typing import Any
from uuid import UUID

from django.http import Http404

from marketplace.actions.audiences import receivers_of
from marketplace.actions.matrices import layout_of
from marketplace.dashboard.access import Viewer
from marketplace.dashboard.job_extras import timeline
from marketplace.dashboard.pages import Fragment, Page
from marketplace.dashboard.waiting import why_it_waits
from marketplace.domain.lifecycle import ENDED, JobState
from marketplace.models import Job, Transfer, database_now
from workers.catalog import MODELS

NAMES = {"iterations": "steps on all rows", "start_iterations": "steps of the best start"}


def job_page(viewer: Viewer, job_id: UUID) -> Page:
    return Page(
        f"job {job_id} {viewer.key}",
        f"/live/jobs/{job_id}/",
        (Fragment("job", frozenset({"jobs", "workers", "network"}), lambda: job(viewer, job_id)),),
    )


def the_job(viewer: Viewer, job_id: UUID) -> Job:
    """
    Raises:
        Http404: there is no such job, or it is not the viewer's to see.
    """
    jobs = viewer.jobs().select_related("client", "worker", "dataset", "matrix", "resource_class__audience")
    found = jobs.filter(pk=job_id).first()
    if found is None:
        raise Http404("There is no such job among those that you may see.")
    return found


def job(viewer: Viewer, job_id: UUID) -> dict[str, Any]:
    """
    Raises:
        Http404: there is no such job, or it is not the viewer's to see.
    """
    found = the_job(viewer, job_id)
    assignments = list(found.assignments.select_related("worker", "result", "verdict__contest").order_by("fence"))
    preparing = found.preparing
    events = list(found.events.select_related("worker").order_by("id"))
    ledger = Transfer.objects.filter(job=found).select_related("source", "destination").order_by("id")
    return {
        "job": found,
        "model": MODELS.get(found.model_type),
        "ended": found.state in ENDED,
        "assignments": assignments,
        "preparing": preparing,
        "waits": why_it_waits(found, assignments) if found.state == JobState.PENDING and preparing is None else [],
        "verdicts": [each.verdict for each in reversed(assignments) if hasattr(each, "verdict")],
        "events": events,
        "timeline": timeline(found, events, database_now()),
        "ledger": ledger,
        "features": feature_names(found),
        "target": target_name(found),
        "receivers": receivers_of(found.resource_class.audience),
        "numbers": numbers(found) if found.state == JobState.VERIFIED else None,
    }


def numbers(job: Job) -> list[tuple[str, Any]]:
    """What the accepted result says in single numbers, by their names in words; its arrays have a page of their own."""
    return [
        (NAMES.get(name, name.replace("_", " ")), value) for name, value in job.scalars.items() if value is not None
    ]


def _name_of(job: Job, matrix_column: int) -> str:
    found = (column["name"] for column in job.data.columns if column.get("matrix_column") == matrix_column)
    return next(found, f"column {matrix_column}")


def feature_names(job: Job) -> list[str]:
    """Of the matrix; while that is not made, the table's columns that it is made of."""
    if job.matrix and job.matrix.state != job.matrix.State.READY:
        return list(layout_of(job).recipe.columns)
    return [_name_of(job, column) for column in job.fitted_columns]


def target_name(job: Job) -> str:
    if job.matrix and job.matrix.state != job.matrix.State.READY:
        return layout_of(job).recipe.target or ""
    return "" if job.fitted_target is None else _name_of(job, job.fitted_target)
