"""A worker's page: what it says it is, how it is, and what it did."""

from typing import Any

from django.http import Http404

from marketplace.dashboard.access import Viewer
from marketplace.dashboard.home import IN_HAND, worker_state
from marketplace.dashboard.pages import Fragment, Page
from marketplace.models import Worker, database_now

SHOWN = 25


def worker_page(viewer: Viewer, name: str) -> Page:
    return Page(
        f"worker {name} {viewer.key}",
        f"/live/workers/{name}/",
        (Fragment("worker", frozenset({"workers", "jobs"}), lambda: worker(viewer, name)),),
    )


def worker(viewer: Viewer, name: str) -> dict[str, Any]:
    """Everybody sees a worker; its money and its attempts only its owner, and who sees all.

    Raises:
        Http404: there is no such worker.
    """
    related = ("contributor__wallet", "stake", "host")
    found = Worker.objects.select_related(*related).filter(name=name).first()
    if found is None:
        raise Http404("There is no worker of that name.")
    owned = viewer.sees_all or found.contributor.user_id == viewer.user_id
    attempts = found.assignments.select_related("job__client").order_by("-created_at")
    if not owned:
        attempts = attempts.filter(job__client__user_id=viewer.user_id)
    busy = found.assignments.filter(state__in=IN_HAND).exists()
    # An owner reads of every attempt, but a job's page is its client's.
    shown = [(each, viewer.sees_all or each.job.client.user_id == viewer.user_id) for each in attempts[:SHOWN]]
    return {
        "worker": found,
        "worker_state": worker_state(found, database_now(), busy=busy),
        "owned": owned,
        "assignments": shown,
        "worker_events": found.events.filter(job=None)[:SHOWN] if owned else [],
    }
