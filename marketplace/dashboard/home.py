"""The first page: the network's figures, its switch, and who and what is on it."""

from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, Prefetch

from marketplace.actions import network
from marketplace.dashboard.access import Viewer
from marketplace.dashboard.pages import TOPICS, Fragment, Page
from marketplace.domain.lifecycle import AssignmentState
from marketplace.models import Assignment, Network, Worker, database_now

SHOWN = 50  # rows of a list; the API has the rest
# A worker whose answer is being checked is free again.
IN_HAND = [AssignmentState.DISPATCHED.value, AssignmentState.STARTED.value]


def home_page(viewer: Viewer) -> Page:
    return Page(
        f"home {viewer.key}",
        "/live/home/",
        (
            Fragment("cards", TOPICS, cards),
            Fragment("coordination", frozenset({"network"}), coordination),
            Fragment("workers", frozenset({"workers", "jobs"}), workers),
            Fragment("jobs", frozenset({"jobs"}), lambda: jobs(viewer)),
            Fragment("clients", frozenset({"clients", "jobs"}), lambda: clients(viewer)),
        ),
    )


def cards() -> dict[str, Any]:
    return {"stats": network.stats()}


def coordination() -> dict[str, Any]:
    return {"network": Network.objects.filter(pk=1).first() or Network()}


def workers() -> dict[str, Any]:
    """Active workers, each with the word for how it is, most jobs first."""
    found = Worker.objects.filter(is_active=True).select_related("contributor", "host")
    busy = Exists(Assignment.objects.filter(worker=OuterRef("pk"), state__in=IN_HAND))
    listed = list(found.annotate(busy=busy).order_by("-jobs_completed", "name")[: SHOWN + 1])
    now = database_now()
    states = [(worker, worker_state(worker, now, busy=worker.busy)) for worker in listed[:SHOWN]]
    return {"workers": states, "more_workers": len(listed) > SHOWN}


def jobs(viewer: Viewer) -> dict[str, Any]:
    in_hand = Prefetch("assignments", Assignment.objects.filter(state__in=IN_HAND), to_attr="in_hand")
    listed = list(viewer.jobs().select_related("client", "worker").prefetch_related(in_hand)[: SHOWN + 1])
    return {"jobs": listed[:SHOWN], "more_jobs": len(listed) > SHOWN}


def clients(viewer: Viewer) -> dict[str, Any]:
    listed = list(viewer.clients().select_related("wallet").order_by("-created_at", "-pk")[: SHOWN + 1])
    return {"clients": listed[:SHOWN], "more_clients": len(listed) > SHOWN}


def worker_state(worker: Worker, now: Any, *, busy: bool) -> str:
    """One word for how a worker is, the most telling first."""
    if not worker.is_active:
        return "inactive"
    if busy:
        return "busy"
    if not worker.is_online(now, settings.POLICY.silent_after_seconds):
        return "silent"
    return "draining" if worker.draining else "idle"
