"""A worker's page: what it says it is, how it is, and what it did."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.http import Http404

from marketplace.dashboard.access import Viewer
from marketplace.dashboard.home import IN_HAND, worker_state
from marketplace.dashboard.pages import Fragment, Page
from marketplace.models import Verdict, Worker, database_now

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
    related = ("contributor__wallet", "stake", "unbonding", "host")
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
        **(standing(found) if owned else {}),
    }


def standing(worker: Worker) -> dict[str, Any]:
    """What its contributor sees of a worker's stake and reputation."""
    rejected = Verdict.objects.filter(assignment__worker=worker, outcome="rejected")
    rejections = list(rejected.select_related("assignment", "contest").order_by("-pk")[:SHOWN])
    since = database_now() - timedelta(seconds=settings.POLICY.contest_seconds)
    return {
        "unbondings": list(worker.unbondings.filter(released_at=None).order_by("release_at")[:SHOWN]),
        "changes": list(worker.contributor.reputation_changes.all()[:SHOWN]),
        "rejections": rejections,
        "contestable": [each for each in rejections if not hasattr(each, "contest") and each.created_at >= since],
    }
