"""The first page: the network's figures, its switch, and who and what is on it."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, Prefetch
from django.urls import reverse

from marketplace.actions import network
from marketplace.dashboard.access import Viewer
from marketplace.dashboard.attention import attention
from marketplace.dashboard.feed import feed
from marketplace.dashboard.hours import sparks
from marketplace.dashboard.pages import Fragment, Page
from marketplace.domain.lifecycle import AssignmentState
from marketplace.filters import amount
from marketplace.models import Assignment, DatabaseNow, Network, Worker

SHOWN = 10  # rows of a list; its own page has the rest
FIGURES = frozenset({"jobs", "workers", "clients", "network"})
# A worker whose answer is being checked is free again.
IN_HAND = [AssignmentState.DISPATCHED.value, AssignmentState.STARTED.value]


def home_page(viewer: Viewer) -> Page:
    """What everybody sees is one rendering for all of them; who sees all has one of everything."""
    own = viewer.key
    all_ = own if viewer.sees_all else ""
    return Page(
        "home",
        "/live/home/",
        (
            Fragment("cards", FIGURES, cards, all_),
            Fragment("sparks", frozenset({"hours"}), sparks, all_),
            Fragment("coordination", frozenset({"network"}), coordination, all_),
            Fragment("feed", FIGURES, lambda: feed(viewer.sees_all), all_),
            Fragment("workers", frozenset({"workers", "jobs"}), workers, all_),
            Fragment("attention", FIGURES, lambda: attention(viewer), own),
            Fragment("jobs", frozenset({"jobs"}), lambda: jobs(viewer), own),
            Fragment("clients", frozenset({"clients", "jobs"}), lambda: clients(viewer), own),
        ),
    )


@dataclass(frozen=True)
class Card:
    """A figure of the network, and where there is more of it."""

    name: str
    label: str
    value: str
    unit: str
    url: str


def cards() -> dict[str, Any]:
    found = network.stats()
    state, performance = found["contract_state"], found["performance"]
    ended = performance["completed_jobs"] + performance["failed_jobs"]
    market, jobs_page, ledger = reverse("market"), reverse("jobs"), reverse("ledger")
    return {
        "cards": [
            Card("total_workers", "Total workers", f"{state['total_workers']:,}", "", market),
            Card("active_workers", "Active workers", f"{state['active_workers']:,}", "", market),
            Card("total_jobs", "Total jobs", f"{state['total_jobs']:,}", "", jobs_page),
            Card(
                "completed_jobs",
                "Completed jobs",
                f"{performance['completed_jobs']:,}",
                "",
                f"{jobs_page}?state=verified",
            ),
            Card(
                "success_rate",
                "Success rate",
                f"{performance['success_rate']:.1f}" if ended else "–",
                "%" if ended else "",
                f"{jobs_page}?state=failed",
            ),
            Card("contract_balance", "Contract balance", amount(state["contract_balance"]), "tokens", ledger),
        ]
    }


def coordination() -> dict[str, Any]:
    return {"network": Network.objects.filter(pk=1).first() or Network()}


def workers() -> dict[str, Any]:
    """Active workers, each with the word for how it is, most jobs first."""
    found = Worker.objects.filter(is_active=True).select_related("contributor", "host")
    busy = Exists(Assignment.objects.filter(worker=OuterRef("pk"), state__in=IN_HAND))
    listed = list(found.annotate(busy=busy, now=DatabaseNow()).order_by("-jobs_completed", "name")[: SHOWN + 1])
    states = [(worker, worker_state(worker, worker.now, busy=worker.busy)) for worker in listed[:SHOWN]]
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
