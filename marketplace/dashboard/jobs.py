"""The list of jobs: chips of states, filters, pages by time, and calling off several at once."""

from datetime import UTC, datetime, time
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import django_filters
from django import forms
from django.contrib import messages
from django.db.models import Prefetch, Q, QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from marketplace.actions import jobs as actions
from marketplace.dashboard.access import Viewer, acting_user, actor_name, page
from marketplace.dashboard.forms import PlainForm
from marketplace.dashboard.home import IN_HAND
from marketplace.dashboard.pages import Fragment, Page
from marketplace.dashboard.views import answer
from marketplace.dashboard.writes import posted, submit_job
from marketplace.domain.access import Scope
from marketplace.domain.errors import Refused
from marketplace.domain.lifecycle import JobState
from marketplace.models import Assignment, Job
from marketplace.models.bounded import counts_up_to
from workers.catalog import MODELS

SHOWN = 25
COUNTED_MOST = 100  # beyond it a chip says 99+
CANCELLED_MOST = 100  # at once
MODEL_TITLES = [(name, model.title) for name, model in MODELS.items()]


class FilterForm(PlainForm):
    """Filters are sent by GET, so that what is found has an address."""


class JobFilter(django_filters.FilterSet):
    state = django_filters.ChoiceFilter(
        label="State", choices=[(s.value, s.value) for s in JobState], empty_label="any state"
    )
    model = django_filters.ChoiceFilter(
        label="Model",
        field_name="model_type",
        choices=[(n, m.title) for n, m in MODELS.items()],
        empty_label="any model",
    )
    client = django_filters.CharFilter(label="Client", field_name="client__address")
    worker = django_filters.CharFilter(label="Worker", field_name="worker__name")
    since = django_filters.DateFilter(label="From (UTC)", method="from_day", widget=forms.DateInput({"type": "date"}))
    until = django_filters.DateFilter(label="To (UTC)", method="to_day", widget=forms.DateInput({"type": "date"}))

    class Meta:
        model = Job
        fields: list[str] = []
        form = FilterForm

    def from_day(self, queryset: QuerySet[Job], name: str, day: Any) -> QuerySet[Job]:
        return queryset.filter(submitted_at__gte=datetime.combine(day, time.min, UTC))

    def to_day(self, queryset: QuerySet[Job], name: str, day: Any) -> QuerySet[Job]:
        return queryset.filter(submitted_at__lte=datetime.combine(day, time.max, UTC))


NAMES = (*JobFilter.base_filters, "before")


def canonical(query: QueryDict, names: tuple[str, ...]) -> dict[str, str]:
    """What of an address means something here, in one order: pages of the same address share one rendering."""
    return {name: str(query[name])[:100] for name in names if query.get(name)}


def jobs_page(viewer: Viewer, query: QueryDict) -> Page:
    asked = canonical(query, NAMES)
    return Page(
        f"jobs {viewer.key} {urlencode(asked)}",
        f"/live/jobs/?{urlencode(asked)}",
        (Fragment("joblist", frozenset({"jobs"}), lambda: listed(viewer, asked)),),
    )


def listed(viewer: Viewer, asked: dict[str, str]) -> dict[str, Any]:
    """A page of the list, newest first. Pages begin after a job, never at a number: there is nothing to count."""
    given = QueryDict(mutable=True)
    given.update(asked)
    filtered = JobFilter(given, queryset=viewer.jobs())
    found = filtered.qs if filtered.is_valid() else viewer.jobs().none()
    in_hand = Prefetch("assignments", Assignment.objects.filter(state__in=IN_HAND), to_attr="in_hand")
    ordered = after(found, asked.get("before", "")).order_by("-submitted_at", "-pk")
    rows = list(
        ordered.select_related("client", "worker", "matrix")
        .defer("matrix__layout", "matrix__columns")
        .prefetch_related(in_hand)[: SHOWN + 1]
    )
    more, rows = len(rows) > SHOWN, rows[:SHOWN]
    kept = {name: value for name, value in asked.items() if name != "before"}
    older = {**kept, "before": f"{rows[-1].submitted_at.isoformat()}~{rows[-1].pk}"} if more else None
    return {
        "jobs": rows,
        "filtered": bool(kept),
        "older": urlencode(older) if older else "",
        "newest": urlencode(kept) if "before" in asked else None,
        "chips": chips(viewer, kept),
        "cancellable": any(job.state in ("pending", "assigned", "computing") for job in rows),
    }


def after(jobs: QuerySet[Job], mark: str) -> QuerySet[Job]:
    """The jobs older than the one that `mark` names ("time~id"); all where it names none."""
    moment, _, key = mark.partition("~")
    try:
        at, pk = datetime.fromisoformat(moment), UUID(key)
    except ValueError:
        return jobs
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return jobs.filter(submitted_at__lte=at).filter(Q(submitted_at__lt=at) | Q(pk__lt=pk))


def chips(viewer: Viewer, kept: dict[str, str]) -> list[dict[str, Any]]:
    """A link for each state, with how many jobs of the viewer's are in it, as far as it is worth counting."""
    states = [state.value for state in JobState]
    counts = counts_up_to([viewer.jobs().filter(state=state) for state in states], COUNTED_MOST)
    rest = {name: value for name, value in kept.items() if name != "state"}
    return [
        {
            "state": state,
            "count": f"{COUNTED_MOST - 1}+" if count >= COUNTED_MOST else count,
            "chosen": kept.get("state") == state,
            "query": urlencode(rest if kept.get("state") == state else {**rest, "state": state}),
        }
        for state, count in zip(states, counts, strict=True)
    ]


@page
def jobs(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The page; what is posted here is the first page's form for a job."""
    if request.method == "POST":
        return submit_job(request)
    form = JobFilter(request.GET, queryset=Job.objects.none()).form
    shown = jobs_page(viewer, request.GET)
    status = 200 if form.is_valid() else 400
    return answer(
        request, viewer, shown, "dashboard/jobs.html", status=status, form=form, fragments_url=request.get_full_path()
    )


@posted(Scope.SUBMIT)
def cancel_jobs(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Call off the ticked ones, each by itself: what cannot be called off keeps none of the others."""
    keys = _ticked(request.POST.getlist("job"))
    own = set(viewer.jobs().filter(pk__in=keys).values_list("pk", flat=True))
    cancelled, refusals = 0, set[str]()
    for key in keys:
        if key not in own:
            refusals.add("There is no such job among those that you may see.")
            continue
        try:
            actions.cancel(job_id=key, user=acting_user(request), actor=actor_name(request))
            cancelled += 1
        except Refused as refusal:
            refusals.add(str(refusal))
    if cancelled:
        messages.success(request, f"{cancelled} job{' is' if cancelled == 1 else 's are'} cancelled.")
    for sentence in sorted(refusals):
        messages.error(request, sentence)
    if not keys:
        messages.error(request, "Tick the jobs to cancel first.")
    back = request.POST.get("next", "")
    safe = back.startswith(reverse("jobs")) and url_has_allowed_host_and_scheme(back, allowed_hosts=None)
    return redirect(back if safe else "jobs")


def _ticked(texts: list[str]) -> list[UUID]:
    keys = []
    for text in texts[:CANCELLED_MOST]:
        try:
            keys.append(UUID(text))
        except ValueError:
            continue
    return keys
