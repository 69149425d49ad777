"""A worker's page: what it says it is, how it is, and what it did."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.db.models import Exists, OuterRef, Q, Sum
from django.db.models.functions import TruncDate
from django.http import Http404, QueryDict

from marketplace.actions.versions import advice
from marketplace.dashboard import charts_kinds as kinds
from marketplace.dashboard.access import Viewer
from marketplace.dashboard.charts import Chart
from marketplace.dashboard.charts_kinds import Words
from marketplace.dashboard.forms import PlainForm
from marketplace.dashboard.home import IN_HAND, worker_state
from marketplace.dashboard.pages import Fragment, Page
from marketplace.dashboard.waiting import why_this_worker
from marketplace.domain.ledger import Code
from marketplace.domain.money import in_words, to_tokens
from marketplace.domain.words import counted
from marketplace.filters import percent, size
from marketplace.models import Job, ReputationChange, Transfer, Verdict, Worker, database_now

SHOWN = 25
DRAWN_CHANGES = 100
EARNINGS_DAYS = 14
HOTTEST = 100.0  # °C, the end of the gauge


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
    owned = owns(viewer, found)
    attempts = found.assignments.select_related("job__client").order_by("-created_at")
    if not owned:
        attempts = attempts.filter(job__client__user_id=viewer.user_id)
    in_hand = found.assignments.filter(state__in=IN_HAND).select_related("job__client").first()
    # An owner reads of every attempt, but a job's page is its client's.
    shown = [(each, viewer.sees_all or each.job.client.user_id == viewer.user_id) for each in attempts[:SHOWN]]
    return {
        "worker": found,
        "worker_state": worker_state(found, database_now(), busy=in_hand is not None),
        "in_hand": in_hand,
        "in_hand_seen": in_hand is not None and (viewer.sees_all or in_hand.job.client.user_id == viewer.user_id),
        "gauges": gauges(found.machine),
        "upgrade": advice(found) if owned else "",
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
    changes = list(worker.contributor.reputation_changes.all()[:DRAWN_CHANGES])
    return {
        "unbondings": list(worker.unbondings.filter(released_at=None).order_by("release_at")[:SHOWN]),
        "changes": changes[:SHOWN],
        "reputation_chart": reputation_chart(changes[::-1]),
        "earnings_chart": earnings_chart(worker),
        "rejections": rejections,
        "contestable": [each for each in rejections if not hasattr(each, "contest") and each.created_at >= since],
    }


@dataclass(frozen=True)
class Gauge:
    """Something that a machine reports of itself; `share` of the whole, None where it does not say."""

    label: str
    share: float | None
    said: str


def gauges(machine: Worker) -> list[Gauge]:
    """How a machine is now: its GPU's use, its memory, its temperature. What it cannot read is unknown, never zero."""
    free, whole, heat = machine.memory_free_bytes, machine.memory_bytes, machine.temperature_celsius
    used = None if free is None or not whole else min(max(1 - free / whole, 0.0), 1.0)
    memory = "unknown" if used is None else f"{size(max(whole - (free or 0), 0) or 1)} of {size(whole)}"
    return [
        Gauge("GPU use", machine.load, percent(machine.load)),
        Gauge("Memory in use", used, memory),
        Gauge("Temperature", None if heat is None else min(max(heat / HOTTEST, 0.0), 1.0), _degrees(heat)),
    ]


def _degrees(heat: float | None) -> str:
    return "unknown" if heat is None else f"{heat:.0f} °C"


def reputation_chart(changes: Sequence[ReputationChange]) -> Chart | None:
    """The last changes, oldest first, as a line of steps; the reasons are the list beside it."""
    if not changes:
        return None
    points = [(0.0, changes[0].before), *((i + 1.0, each.after) for i, each in enumerate(changes))]
    labels = ["before", *(f"{each.created_at:%b %-d, %H:%M}" for each in changes)]
    words = Words(
        "reputation", "Reputation",
        f"Over the last {counted(len(changes), 'change')}, from {points[0][1]:g} to {points[-1][1]:g}.",
        "change", "of 100",
    )  # fmt: skip
    return kinds.line(words, points, steps=True, span=(0, 100), labels=labels)


def earnings_chart(worker: Worker) -> Chart:
    """Tokens that its jobs paid, day by day in UTC."""
    today = database_now().astimezone(UTC).date()
    days = [today - timedelta(days=back) for back in range(EARNINGS_DAYS - 1, -1, -1)]
    since = datetime.combine(days[0], time.min, UTC)
    paid = Transfer.objects.filter(code=Code.CAPTURE.value, job__worker=worker, created_at__gte=since)
    by_day = dict(
        paid.annotate(day=TruncDate("created_at", tzinfo=UTC)).values_list("day").annotate(sum=Sum("amount")).order_by()
    )
    values = [float(to_tokens(by_day.get(day, 0))) for day in days]
    words = Words(
        "earnings",
        "Earnings",
        f"{in_words(sum(by_day.values()))} in the last {EARNINGS_DAYS} days (UTC).",
        "day",
        "tokens",
    )
    return kinds.columns(words, [f"{day:%b %-d}" for day in days], values)


class WhyForm(PlainForm):
    """Whose job a contributor or client asks about."""

    job = forms.CharField(label="Job", max_length=36, help_text="Its id, or the 8 characters that pages show of it.")

    def clean_job(self) -> tuple[UUID, UUID]:
        """The first and the last id that begin like the one that was given."""
        digits = self.cleaned_data["job"].strip().replace("-", "").lower()
        if not re.fullmatch("[0-9a-f]{8,32}", digits):
            raise forms.ValidationError("That is no job's id: give all of it, or its first 8 characters.")
        return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))


def why(viewer: Viewer, worker: Worker, query: QueryDict) -> dict[str, Any]:
    """The form that asks why this worker did or did not get a job, and the answer where one was named."""
    if "job" not in query:
        return {"why_form": WhyForm()}
    form = WhyForm(query)
    if not form.is_valid():
        return {"why_form": form}
    alike = {"pk__gte": form.cleaned_data["job"][0], "pk__lte": form.cleaned_data["job"][1]}
    seen = Q(pk__in=viewer.jobs().filter(**alike).values("pk"))
    if owns(viewer, worker):
        seen |= Q(Exists(worker.assignments.filter(job=OuterRef("pk"))))
    found = list(Job.objects.filter(seen, **alike).select_related("client", "resource_class")[:2])
    if len(found) == 1:
        return {"why_form": form, "why_said": why_this_worker(found[0], worker)}
    none = "There is no such job among those that you may see."
    form.add_error("job", "More than one job begins like that; give the whole id." if found else none)
    return {"why_form": form}


def owns(viewer: Viewer, worker: Worker) -> bool:
    return viewer.sees_all or worker.contributor.user_id == viewer.user_id
