"""What the pages' forms do: each reads the form, calls one action, and says in a sentence what came of it."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse

from marketplace.actions import clients, coordination, datasets, deletion, jobs, workers
from marketplace.actions.submissions import submission_of
from marketplace.dashboard.access import View, Viewer, acting_user, actor_name, page, require_scope
from marketplace.dashboard.forms import ClientForm, JobForm, PlainForm, WorkerForm
from marketplace.dashboard.job import the_job
from marketplace.dashboard.views import show_home
from marketplace.domain.access import Scope
from marketplace.domain.errors import NotFound, Refused


def posted(scope: Scope) -> Callable[[View], View]:
    """A page that takes a form, of who has `scope`; who comes to its address by hand is sent to the first page."""

    def decorate(view: View) -> View:
        return _posted(view, scope)

    return decorate


def _posted(view: View, scope: Scope) -> View:
    @page
    @wraps(view)
    def guarded(request: HttpRequest, viewer: Viewer, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method != "POST":
            return redirect("home")
        require_scope(viewer, scope)
        return view(request, viewer, *args, **kwargs)

    return guarded


def say_no(request: HttpRequest, viewer: Viewer, form: PlainForm, refusal: Refused | None = None) -> HttpResponse:
    """The first page again, with what was typed and why it was refused."""
    if refusal is not None:
        form.add_error(None, str(refusal))
    return show_home(request, viewer, refused=form, status=refusal.status if refusal else 400)


@posted(Scope.CONTRIBUTE)
def register_worker(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    form = WorkerForm(request.POST)
    if not form.is_valid():
        return say_no(request, viewer, form)
    data = form.cleaned_data
    try:
        registered = workers.register_worker(
            name=data["worker_id"],
            gpu_type=data["gpu_type"],
            compute_capacity=data["compute_capacity"],
            stake_amount=data["stake_amount"],
            user=acting_user(request),
        )
    except Refused as refusal:
        return say_no(request, viewer, form, refusal)
    if settings.SANDBOX:
        messages.success(request, f"Worker {registered.worker.name} is registered; this machine computes for it.")
        return redirect("home")
    # Shown once and kept nowhere, so it is the answer itself and no redirect.
    context = {"viewer": viewer, "worker": registered.worker, "enrolment_key": registered.enrolment_key}
    return render(request, "dashboard/enrolment.html", context)


@posted(Scope.SUBMIT)
def register_client(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    form = ClientForm(request.POST)
    if not form.is_valid():
        return say_no(request, viewer, form)
    try:
        client = clients.register_client(
            address=form.cleaned_data["client_address"],
            initial_balance=form.cleaned_data.get("initial_balance"),
            user=acting_user(request),
        )
    except Refused as refusal:
        return say_no(request, viewer, form, refusal)
    messages.success(request, f"Client {client.address} is registered.")
    return redirect("home")


@posted(Scope.SUBMIT)
def submit_job(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    form = JobForm(request.POST, request.FILES, viewer=viewer)
    if not form.is_valid():
        return say_no(request, viewer, form)
    data, user, dataset = form.cleaned_data, acting_user(request), None
    try:
        if data["file"]:
            dataset = datasets.store_upload(stream=data["file"].file, filename=data["file"].name, user=user)
        submission = jobs.Submission(
            client_address=data["client_address"],
            model_type=data["model_type"],
            reward=data["reward"],
            dataset=dataset.sha256 if dataset else None,
            params=form.params(),
            target=form.target_in(dataset),
        )
        job = jobs.submit(submission=submission, user=user)
    except Refused as refusal:
        return say_no(request, viewer, form, refusal)
    messages.success(request, "The job is submitted and its reward is held.")
    return redirect("job", job_id=job.pk)


@posted(Scope.SUBMIT)
def cancel_job(request: HttpRequest, viewer: Viewer, job_id: UUID) -> HttpResponse:
    the_job(viewer, job_id)
    try:
        jobs.cancel(job_id=job_id, user=acting_user(request), actor=actor_name(request))
        messages.success(request, "The job is cancelled.")
    except Refused as refusal:
        messages.error(request, str(refusal))
    return redirect("job", job_id=job_id)


@posted(Scope.SUBMIT)
def retry_job(request: HttpRequest, viewer: Viewer, job_id: UUID) -> HttpResponse:
    """The same job once more, as a job of its own."""
    found = the_job(viewer, job_id)
    try:
        again = jobs.submit(submission=submission_of(found), user=acting_user(request))
    except Refused as refusal:
        messages.error(request, str(refusal))
        return redirect("job", job_id=job_id)
    messages.success(request, "The same job is submitted again, and its reward is held.")
    return redirect("job", job_id=again.pk)


@posted(Scope.SUBMIT)
def delete_data(request: HttpRequest, viewer: Viewer, dataset_id: str) -> HttpResponse:
    try:
        deletion.delete_dataset(sha256=dataset_id, user=acting_user(request), actor=actor_name(request))
        messages.success(request, "The data are deleted; machines that got a copy are asked to drop it.")
    except NotFound as refusal:
        raise Http404(str(refusal)) from None
    except Refused as refusal:
        messages.error(request, str(refusal))
        return redirect(f"{reverse('new-job')}?dataset={dataset_id}")
    return redirect("new-job")


@posted(Scope.OPERATE)
def control(request: HttpRequest, viewer: Viewer, verb: str) -> HttpResponse:
    """Start or stop auto-coordination, or assign once."""
    actor = actor_name(request)
    if verb == "trigger":
        count = coordination.trigger(actor=actor)
        messages.success(request, f"A cycle ran and assigned {count} job{'' if count == 1 else 's'}.")
    elif verb in ("start", "stop"):
        coordination.set_active(active=verb == "start", actor=actor)
        messages.success(request, f"Auto-coordination is {'on' if verb == 'start' else 'off'}.")
    else:
        raise Http404("There is no such control.")
    return redirect("home")
