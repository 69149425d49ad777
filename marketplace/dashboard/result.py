"""A verified job's result: pictures, numbers, tables, what the verdict is worth, and downloads."""

from dataclasses import dataclass
from itertools import islice
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.http import content_disposition_header

from marketplace.csv_files import CsvResponse
from marketplace.dashboard.access import Viewer, page
from marketplace.dashboard.job import numbers, the_job
from marketplace.dashboard.result_data import Fitted, Listing, listings
from marketplace.dashboard.result_pictures import pictures
from marketplace.domain.errors import NotFound
from marketplace.domain.lifecycle import JobState
from marketplace.domain.words import counted
from marketplace.models import Job, Verdict
from workers.catalog import MODELS
from workers.catalog.kmeans_start import sample_size

SHOWN_ROWS, SHOWN_COLUMNS = 12, 12


@dataclass(frozen=True)
class Shown:
    """The beginning of a listing, as much as a page has room for."""

    name: str
    title: str
    header: list[str]
    rows: list[list[Any]]
    more: bool
    note: str

    @classmethod
    def of(cls, listing: Listing) -> "Shown":
        rows = list(islice(listing.rows, SHOWN_ROWS + 1))
        cut = [row[:SHOWN_COLUMNS] for row in rows[:SHOWN_ROWS]]
        more = len(rows) > SHOWN_ROWS or len(listing.header) > SHOWN_COLUMNS
        return cls(listing.name, listing.title, list(listing.header[:SHOWN_COLUMNS]), cut, more, listing.note)


def _fitted(job: Job) -> Fitted:
    try:
        return Fitted.of(job)
    except NotFound as refusal:
        raise Http404(str(refusal)) from None


def how_it_went(job: Job) -> str:
    """What a clustering's numbers of steps mean; empty for other models, and where the worker did not say."""
    steps, begun = job.scalars.get("iterations"), job.scalars.get("start_iterations")
    if steps is None or begun is None:
        return ""
    sampled = sample_size(job.data.rows, job.params["k"])
    of = "all rows" if sampled >= job.data.rows else f"a sample of {sampled:,} rows"
    starts = counted(job.params["n_init"], "start")
    best = f"The best of {starts}" if job.params["n_init"] > 1 else "The start"
    return f"{best} took {counted(begun, 'step')} on {of}; from its centres, {counted(steps, 'step')} on all rows."


@page
def result(request: HttpRequest, viewer: Viewer, job_id: UUID) -> HttpResponse:
    """The page. A job that has no result is sent to its own page, which says why."""
    job = the_job(viewer, job_id)
    if job.state != JobState.VERIFIED.value:
        return redirect("job", job_id=job_id)
    fitted = _fitted(job)
    verdict = Verdict.objects.select_related("assignment__result", "assignment__worker").filter(
        assignment__job=job, outcome="accepted"
    )
    tables = [Shown.of(listing) for listing in listings(fitted)]
    context = {
        "viewer": viewer,
        "job": job,
        "model": MODELS.get(job.model_type),
        "numbers": numbers(job),
        "how": how_it_went(job),
        "charts": pictures(fitted),
        "save_url": f"{request.path}",
        "tables": tables,
        "verdict": verdict.first(),
    }
    return render(request, "dashboard/result.html", context)


@page
def result_csv(request: HttpRequest, viewer: Viewer, job_id: UUID, name: str) -> HttpResponseBase:
    """One of its tables, whole."""
    fitted = _fitted(the_job(viewer, job_id))
    for listing in listings(fitted):
        if listing.name == name:
            return CsvResponse(f"{str(job_id)[:8]}-{name}.csv", listing.header, listing.rows)
    raise Http404("The result has no such table.")


@page
def result_svg(request: HttpRequest, viewer: Viewer, job_id: UUID, name: str) -> HttpResponse:
    """One of its pictures as a file."""
    for chart in pictures(_fitted(the_job(viewer, job_id))):
        if chart.name == name:
            disposition = content_disposition_header(True, f"{str(job_id)[:8]}-{name}.svg") or "attachment"
            headers = {"Content-Disposition": disposition}
            return HttpResponse(chart.document, content_type="image/svg+xml; charset=utf-8", headers=headers)
    raise Http404("The result has no such picture.")
