"""A job's page: what was asked, what happened, who did it, what came of it and who paid whom."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import Http404

from marketplace.actions.results import read_result
from marketplace.dashboard.access import Viewer
from marketplace.dashboard.pages import Fragment, Page
from marketplace.dashboard.waiting import why_it_waits
from marketplace.domain.lifecycle import ENDED, JobState
from marketplace.models import Job, Transfer
from workers.catalog import MODELS

SHOWN_NUMBERS = 120  # an array above this many is left to the download


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
    found = viewer.jobs().select_related("client", "worker", "dataset", "resource_class").filter(pk=job_id).first()
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
    names = feature_names(found)
    ledger = Transfer.objects.filter(job=found).select_related("source", "destination").order_by("id")
    return {
        "job": found,
        "model": MODELS.get(found.model_type),
        "ended": found.state in ENDED,
        "assignments": assignments,
        "waits": why_it_waits(found, assignments) if found.state == JobState.PENDING else [],
        "verdicts": [each.verdict for each in reversed(assignments) if hasattr(each, "verdict")],
        "events": found.events.select_related("worker").order_by("id"),
        "ledger": ledger,
        "features": names,
        "target": target_name(found),
        "result": shown_result(found, names) if found.state == JobState.VERIFIED else None,
    }


@dataclass(frozen=True)
class Table:
    """An array of a result, with the names of its columns."""

    name: str
    header: list[str]
    rows: list[list[Any]]


@dataclass(frozen=True)
class ShownResult:
    """An accepted result as a page has room for it."""

    numbers: list[tuple[str, int | float | str]]
    tables: list[Table]
    omitted: list[str]


def shown_result(job: Job, features: list[str]) -> ShownResult:
    """The accepted result: its numbers, its small arrays as tables, and the names of the large ones."""
    result = read_result(job=job, limit=SHOWN_NUMBERS)
    omitted = result.pop("omitted", [])
    known = {"model", "worker_id", "gpu_type"}  # said elsewhere on the page
    numbers = [(k, v) for k, v in result.items() if k not in known and isinstance(v, (int, float, str))]
    tables = [table(name, value, features) for name, value in result.items() if isinstance(value, list) and value]
    return ShownResult(numbers, tables, omitted)


def table(name: str, value: list[Any], features: list[str]) -> Table:
    """An array of one or two dimensions; its columns are called as the data's where there are as many."""
    rows = value if isinstance(value[0], list) else [value]
    width = len(rows[0])
    header = features if width == len(features) else [str(index) for index in range(width)]
    return Table(name, header, rows)


def _name_of(job: Job, matrix_column: int) -> str:
    found = (column["name"] for column in job.dataset.columns if column.get("matrix_column") == matrix_column)
    return next(found, f"column {matrix_column}")


def feature_names(job: Job) -> list[str]:
    return [_name_of(job, column) for column in job.features]


def target_name(job: Job) -> str:
    return "" if job.target is None else _name_of(job, job.target)
