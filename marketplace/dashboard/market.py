"""The market: every worker with what it claims, what it showed, and how it did; filtered, sorted, with an address."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import django_filters
from django.conf import settings
from django.core.exceptions import BadRequest
from django.db.models import Exists, F, OuterRef, Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase

from marketplace.actions.records import RECENT
from marketplace.csv_files import CsvResponse
from marketplace.dashboard.access import Viewer, page
from marketplace.dashboard.home import IN_HAND, worker_state
from marketplace.dashboard.jobs import FilterForm, canonical
from marketplace.dashboard.pages import Fragment, Page
from marketplace.dashboard.views import answer
from marketplace.models import Assignment, Worker, database_now, heard_since
from workers.catalog.gpus import KNOWN_GPUS
from workers.protocol import gpu_tag

SHOWN = 20
PAGES_MOST = 400
GIB = 2**30
SORTS = {
    "name": "name",
    "gpu": "gpu_type",
    "memory": "memory_bytes",
    "claimed": "compute_capacity",
    "measured": "measured_rate",
    "reputation": "contributor__reputation",
    "right": "success_rate",
    "wait": "median_wait_seconds",
    "jobs": "jobs_completed",
    "heartbeat": "last_heartbeat_at",
}
DEFAULT_SORT = "-jobs"
ORDERS = {  # as the form offers them: on a phone the table has no head
    "-jobs": "most jobs",
    "-right": "most often right",
    "wait": "shortest wait",
    "-reputation": "reputation",
    "-measured": "measured rate",
    "-claimed": "claimed TFLOPS",
    "-memory": "memory",
    "-heartbeat": "last heard",
    "name": "name",
}


class MarketFilter(django_filters.FilterSet):
    search = django_filters.CharFilter(label="Name has", field_name="name", lookup_expr="icontains")
    gpu = django_filters.ChoiceFilter(
        label="GPU", method="of_gpu", choices=[(n, n) for n in ("CPU", *KNOWN_GPUS)], empty_label="any GPU"
    )
    memory = django_filters.NumberFilter(label="Memory from (GiB)", method="with_memory", min_value=0, max_value=10**6)
    tflops = django_filters.NumberFilter(label="TFLOPS from", field_name="compute_capacity", lookup_expr="gte")
    reputation = django_filters.NumberFilter(
        label="Reputation from", field_name="contributor__reputation", lookup_expr="gte"
    )
    state = django_filters.ChoiceFilter(
        label="State", method="in_state", choices=[(s, s) for s in ("idle", "busy", "silent", "draining", "inactive")],
        empty_label="active ones",
    )  # fmt: skip

    class Meta:
        model = Worker
        fields: list[str] = []
        form = FilterForm

    def of_gpu(self, workers: QuerySet[Worker], name: str, value: str) -> QuerySet[Worker]:
        return workers.filter(gpu_tag=gpu_tag(value))

    def with_memory(self, workers: QuerySet[Worker], name: str, value: Any) -> QuerySet[Worker]:
        return workers.filter(memory_bytes__gte=int(value * GIB))

    def in_state(self, workers: QuerySet[Worker], name: str, value: str) -> QuerySet[Worker]:
        """As `worker_state` says it, in the database's words."""
        if value == "inactive":
            return workers
        since = database_now() - timedelta(seconds=settings.POLICY.silent_after_seconds)
        heard = heard_since(since)
        busy = Exists(Assignment.objects.filter(worker=OuterRef("pk"), state__in=IN_HAND))
        return {
            "busy": workers.filter(busy),
            "silent": workers.filter(~busy).exclude(heard),
            "draining": workers.filter(~busy, heard, draining=True),
            "idle": workers.filter(~busy, heard, draining=False),
        }[value]


NAMES = (*MarketFilter.base_filters, "sort", "page")


@dataclass(frozen=True)
class Row:
    """A worker as the market shows it."""

    worker: Worker
    state: str
    job: Assignment | None

    @property
    def answers(self) -> int:
        return self.worker.contributor.verified + self.worker.contributor.rejected


def found(asked: dict[str, str]) -> QuerySet[Worker]:
    """The workers that were asked for, in the order that was; nothing where a filter makes no sense."""
    given = QueryDict(mutable=True)
    given.update(asked)
    filtered = MarketFilter(given, queryset=Worker.objects.filter(is_active=asked.get("state") != "inactive"))
    if not filtered.is_valid():
        return Worker.objects.none()
    sort = asked.get("sort", DEFAULT_SORT)
    column = SORTS.get(sort.removeprefix("-"), SORTS[DEFAULT_SORT.removeprefix("-")])
    by = F(column).desc(nulls_last=True) if sort.startswith("-") else F(column).asc(nulls_last=True)
    return filtered.qs.order_by(by, "name")


def rows(workers: Iterable[Worker]) -> list[Row]:
    now, made = database_now(), []
    for worker in workers:
        in_hand = next(iter(worker.in_hand), None)  # type: ignore[attr-defined]
        made.append(Row(worker, worker_state(worker, now, busy=in_hand is not None), in_hand))
    return made


def detailed(workers: QuerySet[Worker]) -> QuerySet[Worker]:
    in_hand = Assignment.objects.filter(state__in=IN_HAND).select_related("job__client")
    prefetch = Prefetch("assignments", in_hand, to_attr="in_hand")
    return workers.select_related("contributor", "host").prefetch_related(prefetch)


def market_page(viewer: Viewer, query: QueryDict) -> Page:
    asked = canonical(query, NAMES)
    return Page(
        f"market {viewer.key} {urlencode(asked)}",
        f"/live/market/?{urlencode(asked)}",
        (Fragment("market", frozenset({"workers", "jobs"}), lambda: listed(viewer, asked)),),
    )


def listed(viewer: Viewer, asked: dict[str, str]) -> dict[str, Any]:
    number = int(asked["page"]) if asked.get("page", "").isdecimal() else 1
    number = min(max(number, 1), PAGES_MOST)
    first = (number - 1) * SHOWN
    page_of = list(detailed(found(asked))[first : first + SHOWN + 1])
    kept = {name: value for name, value in asked.items() if name != "page"}
    unsorted = {name: value for name, value in kept.items() if name != "sort"}
    shown = rows(page_of[:SHOWN])
    return {
        "rows": [(row, row.job is not None and _sees(viewer, row.job)) for row in shown],
        "filtered": bool(unsorted),
        "sorts": _sorts(asked.get("sort", DEFAULT_SORT), unsorted),
        "earlier": urlencode({**kept, "page": number - 1}) if number > 1 else "",
        "later": urlencode({**kept, "page": number + 1}) if len(page_of) > SHOWN else "",
        "number": number,
        "csv": urlencode(kept),
        "recent": RECENT,
    }


def _sees(viewer: Viewer, assignment: Assignment) -> bool:
    return viewer.sees_all or assignment.job.client.user_id == viewer.user_id


def _sorts(current: str, rest: dict[str, str]) -> dict[str, dict[str, str]]:
    """For each column that sorts: the address that does it (a second time the other way), and how it is now."""
    made = {}
    for name in SORTS:
        down = name not in ("name", "gpu", "wait")
        now = "ascending" if current == name else "descending" if current == f"-{name}" else "none"
        then = f"-{name}" if now == "ascending" or (now == "none" and down) else name
        made[name] = {"query": urlencode({**rest, "sort": then}), "now": now}
    return made


@page
def market(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    form = MarketFilter(request.GET, queryset=Worker.objects.none()).form
    return answer(
        request, viewer, market_page(viewer, request.GET), "dashboard/market.html",
        status=200 if form.is_valid() else 400, form=form, fragments_url=request.get_full_path(),
        orders=ORDERS, sort=request.GET.get("sort") or DEFAULT_SORT,
    )  # fmt: skip


HEADER = [
    "worker",
    "state",
    "gpu",
    "memory_bytes",
    "claimed_tflops",
    "measured_tflops",
    "claim_doubted",
    "reputation",
    "answers",
    "success_rate",
    "median_wait_seconds",
    "jobs_completed",
    "last_heartbeat_at",
]


@page
def market_csv(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """All that the filters let through, as CSV.

    Raises:
        BadRequest: a filter that makes no sense, with the sentence that the page has beside it.
    """
    form = MarketFilter(request.GET, queryset=Worker.objects.none()).form
    for name, errors in form.errors.items():
        raise BadRequest(f"{form.fields[name].label}: {errors[0]}")
    return CsvResponse("market.csv", HEADER, list(_lines(canonical(request.GET, NAMES))))


def _lines(asked: dict[str, str]) -> Iterator[list[Any]]:
    for row in rows(detailed(found(asked))[: SHOWN * PAGES_MOST]):
        w = row.worker
        yield [
            w.name, row.state, w.gpu_type, w.memory_bytes, w.compute_capacity, w.measured_rate, w.claim_doubted,
            w.contributor.reputation, row.answers, w.success_rate, w.median_wait_seconds, w.jobs_completed,
            w.machine.last_heartbeat_at,
        ]  # fmt: skip
