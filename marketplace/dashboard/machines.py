"""Adding a machine: its key, the commands to copy, and how far each machine has come."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from marketplace.actions import workers
from marketplace.dashboard.access import Viewer, acting_user, actor_name, page, require_scope
from marketplace.dashboard.forms import WorkerForm
from marketplace.dashboard.pages import Fragment, Page
from marketplace.domain.access import Scope
from marketplace.domain.errors import Refused
from marketplace.filters import size, tflops
from marketplace.models import Worker, database_now

SHOWN = 10
UNIT = Path(settings.BASE_DIR) / "workers" / "computenet-worker.service"


@dataclass(frozen=True)
class Step:
    """`state` is "done", "now" (what is waited for) or "later"; "doubt" where it came and did not convince."""

    title: str
    state: str
    note: str = ""


def machines_page(viewer: Viewer) -> Page:
    fragment = Fragment("machines", frozenset({"workers", "jobs"}), lambda: machines(viewer))
    return Page(f"machines {viewer.key}", "/live/machines/", (fragment,))


def own_workers(viewer: Viewer) -> Any:
    found = Worker.objects.filter(standby=False)
    return found if viewer.sees_all else found.filter(contributor__user_id=viewer.user_id)


def machines(viewer: Viewer) -> dict[str, Any]:
    listed = list(own_workers(viewer).order_by("-registered_at")[: SHOWN + 1])
    now = database_now()
    silent_after = settings.POLICY.silent_after_seconds
    rows = [(worker, steps(worker, worker.is_online(now, silent_after))) for worker in listed[:SHOWN]]
    return {"machines": rows, "more_machines": len(listed) > SHOWN}


def steps(worker: Worker, online: bool) -> list[Step]:
    """How far a worker's own machine has come, in the order in which it comes."""
    enrolled = worker.enrolled_at is not None and worker.host_id is None
    doubted, measured = worker.claim_doubted, worker.measured_rate is not None
    seen = f"{worker.gpu_type}, {size(worker.memory_bytes)}"
    shown = "" if worker.measured_rate is None else f"{tflops(worker.measured_rate)} TFLOPS"
    came = [
        (enrolled, "Connected", "heard now" if online else "silent now"),
        (enrolled, "GPU seen", f"{seen}, simulated" if worker.device.get("simulated") else seen),
        (enrolled and (measured or doubted), "Benchmark passed" if not doubted else "Benchmark doubted", shown),
        (enrolled and worker.jobs_completed > 0, "First job", f"{worker.jobs_completed:,} done"),
    ]
    found = [Step("Key made", "done")]
    for done, title, note in came:
        waited = found[-1].state in ("done", "doubt")
        state = "doubt" if done and "doubted" in title else "done" if done else "now" if waited else "later"
        found.append(Step(title, state, note if done else "waiting" if waited else ""))
    return found


def show(request: HttpRequest, viewer: Viewer, *, status: int = 200, **found: Any) -> HttpResponse:
    shown = machines_page(viewer)
    if getattr(request, "htmx", False):
        return HttpResponse("".join(shown.render().values()))
    context = {
        "viewer": viewer,
        "live": shown.socket,
        "fragments_url": request.path,
        "form": WorkerForm(),
        "server": settings.PUBLIC_URL or request.build_absolute_uri("/").rstrip("/"),
        **shown.context(),
    }
    return render(request, "dashboard/machines.html", context | found, status=status)


@page
def add(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The page; and registering a worker, whose key is in the answer itself and kept nowhere."""
    require_scope(viewer, Scope.CONTRIBUTE)
    if request.method != "POST":
        return show(request, viewer)
    form = WorkerForm(request.POST)
    if not form.is_valid():
        return show(request, viewer, form=form, status=400)
    given = form.cleaned_data
    try:
        made = workers.register_worker(
            name=given["worker_id"],
            gpu_type=given["gpu_type"],
            compute_capacity=given["compute_capacity"],
            stake_amount=given["stake_amount"],
            user=acting_user(request),
        )
    except Refused as refusal:
        form.add_error(None, str(refusal))
        return show(request, viewer, form=form, status=refusal.status)
    return show(request, viewer, made=made.worker, key=made.enrolment_key)


@page
def new_key(request: HttpRequest, viewer: Viewer, name: str) -> HttpResponse:
    """Another key, for a machine that lost what it had or a new one in its place."""
    require_scope(viewer, Scope.CONTRIBUTE)
    worker = own_workers(viewer).filter(name=name).first()
    if worker is None:
        raise Http404("There is no worker of that name among yours.")
    if request.method != "POST":
        return redirect("add-machine")
    return show(request, viewer, made=worker, key=workers.new_enrolment_key(worker=worker, actor=actor_name(request)))


@page
def unit(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The systemd unit that the project ships."""
    headers = {"Content-Disposition": f'attachment; filename="{UNIT.name}"'}
    return HttpResponse(UNIT.read_bytes(), content_type="text/plain; charset=utf-8", headers=headers)
