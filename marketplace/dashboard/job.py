"""A job's page: what was asked, what happened, who did it, what came of it and who paid whom."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.http import Http404

from marketplace.actions.results import read_result
from marketplace.dashboard.access import Viewer
from marketplace.dashboard.pages import Fragment, Page
from marketplace.domain.lifecycle import ENDED, JobState
from marketplace.models import Job, Transfer
from workers.catalog import MODELS

SHOWN_NUMBERS = 120  # an array above this many is left to the download


def job_page(viewer: Viewer, job_id: UUID) -> Page:
    return Page(
        f"job {job_id} {viewer.key}",
        f"/live/jobs/{job_id}/",
        (Fragment("job", frozenset({"jobs"}), lambda: job(viewer, job_id)),),
    )


def job(viewer: Viewer, job_id: UUID) -> dict[str, Any]:
    """
    Raises:
        Http404: there is no such job, or it is not the viewer's to see.
    """
    found = viewer.jobs().select_related("client", "worker", "dataset", "resource_class").filter(pk=job_id).first()
    if found is None:
        raise Http404("There is no such job among those that you may see.")
    assignments = list(found.assignments.select_related("worker", "result", "verdict").order_by("fence"))
    names = feature_names(found)
    ledger = Transfer.objects.filter(job=found).select_related("source", "destination").order_by("id")
    return {
        "job": found,
        "model": MODELS.get(found.model_type),
        "ended": found.state in ENDED,
        "assignments": assignments,
        "verdicts": [each.verdict for each in reversed(assignments) if hasattr(each, "verdict")],
        "events": found.events.select_related("worker").order_by("id"),
        "ledger": ledger,
        "features": names,
        "target": target_name(found),
        "result": shown_result(found, names) if found.state == JobState.VERIFIED else [],
    }


@dataclass(frozen=True)
class Shown:
    """A part of a result: a number, a table, or the word that it is too large for a page."""

    name: str
    number: float | str | None = None
    header: list[str] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    omitted: str = ""


def shown_result(job: Job, features: list[str]) -> list[Shown]:
    """The accepted result, numbers first, with the names of the columns where its shape is theirs."""
    result = read_result(job=job, limit=SHOWN_NUMBERS)
    omitted = result.pop("omitted", None) or []
    parts = [shown(name, value, features) for name, value in result.items() if value is not None]
    parts += [Shown(str(name), omitted="too large for this page, in the downloads") for name in omitted]
    return sorted(parts, key=lambda part: (bool(part.omitted), bool(part.rows)))


def shown(name: str, value: Any, features: list[str]) -> Shown:
    if not isinstance(value, list):
        return Shown(name, number=value)
    if not value:
        return Shown(name, omitted="empty")
    if not isinstance(value[0], list):
        if len(value) == len(features) > 1:
            return Shown(name, header=features, rows=[value])
        return Shown(name, header=[str(index) for index in range(len(value))], rows=[value])
    width = len(value[0])
    header = features if width == len(features) else [str(index) for index in range(width)]
    return Shown(name, header=header, rows=value)


def _name_of(job: Job, matrix_column: int) -> str:
    found = (column["name"] for column in job.dataset.columns if column.get("matrix_column") == matrix_column)
    return next(found, f"column {matrix_column}")


def feature_names(job: Job) -> list[str]:
    return [_name_of(job, column) for column in job.features]


def target_name(job: Job) -> str:
    return "" if job.target is None else _name_of(job, job.target)
