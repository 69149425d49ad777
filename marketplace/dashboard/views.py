"""The pages, as a browser reads them."""

from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from marketplace.dashboard.access import Viewer, page
from marketplace.dashboard.forms import ClientForm, JobForm, WorkerForm
from marketplace.dashboard.home import home_page
from marketplace.dashboard.job import job_page, the_job
from marketplace.dashboard.job_extras import requests
from marketplace.dashboard.new_job_draft import Draft
from marketplace.dashboard.pages import Page
from marketplace.dashboard.worker import why, worker_page
from marketplace.models import Worker


def answer(
    request: HttpRequest, viewer: Viewer, shown: Page, template: str, *, status: int = 200, **context: Any
) -> HttpResponse:
    """The whole page, or (to htmx, which polls where there is no socket) its fragments alone."""
    if getattr(request, "htmx", False):
        return HttpResponse("".join(shown.render().values()))
    frame = {"viewer": viewer, "live": shown.socket, "here": request.path, "fragments_url": request.path}
    return render(request, template, {**frame, **shown.context(), **context}, status=status)


def show_home(
    request: HttpRequest, viewer: Viewer, *, refused: forms.Form | None = None, status: int = 200
) -> HttpResponse:
    """The first page; `refused` is a form that was sent and takes the place of its empty like."""
    context: dict[str, Any] = {
        "job_form": JobForm(viewer=viewer),
        "client_form": ClientForm(),
        "worker_form": WorkerForm(),
        "open_form": "job_form",
        "fragments_url": reverse("home"),  # after a refusal the page's own address is the form's
    }
    if refused is not None:
        context["open_form"] = f"{refused.prefix}_form"
        context[context["open_form"]] = refused
    return answer(request, viewer, home_page(viewer), "dashboard/home.html", status=status, **context)


@page
def home(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    return show_home(request, viewer)


@page
def job(request: HttpRequest, viewer: Viewer, job_id: UUID) -> HttpResponse:
    found = the_job(viewer, job_id)
    same = requests(found, request.build_absolute_uri("/").rstrip("/"))
    shown = job_page(viewer, job_id)
    return answer(request, viewer, shown, "dashboard/job.html", requests=same, clone=Draft.of(found).query)


@page
def worker(request: HttpRequest, viewer: Viewer, name: str) -> HttpResponse:
    shown = worker_page(viewer, name)
    asked = Worker.objects.select_related("contributor", "host").filter(name=name).first()
    more = why(viewer, asked, request.GET) if asked else {}
    return answer(request, viewer, shown, "dashboard/worker.html", **more)
