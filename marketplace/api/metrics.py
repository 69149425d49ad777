"""`/metrics` for Prometheus: the network's figures, and what this web process has answered."""

import hmac
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from rest_framework.authentication import BaseAuthentication, SessionAuthentication, get_authorization_header
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request

from marketplace.actions import figures
from marketplace.api.base import Call
from marketplace.api.key_auth import KeyAuthentication
from marketplace.api.permissions import Scoped
from marketplace.domain.access import Scope
from marketplace.domain.money import MICRO
from marketplace.measures import LATENCY, REGISTRY, REQUESTS

FRESH_SECONDS = 2.0  # in which several monitors get the same figures
OTHER = "other"  # the route of what has none, lest anybody fill the memory with paths
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class Measured:
    """Middleware that counts answers by route, and how long they took."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = time.perf_counter()
        response = self.get_response(request)
        match = request.resolver_match
        route = f"/{match.route}" if match and response.status_code != 404 else OTHER
        method = request.method if request.method in METHODS else OTHER
        REQUESTS.labels(method, route, str(response.status_code)).inc()
        LATENCY.labels(method, route).observe(time.perf_counter() - began)
        return response


class NetworkCollector:
    """The network's figures as the database has them, read at most every two seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read_at, self._kept = -FRESH_SECONDS, list[Metric]()

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            if time.monotonic() - self._read_at >= FRESH_SECONDS:
                self._kept = list(_read())
                self._read_at = time.monotonic()
            kept = self._kept
        yield from kept

    def describe(self) -> list[Metric]:
        """Nothing: registering must not ask the database."""
        return []


def _read() -> Iterator[Metric]:
    """The figures, or that the database does not answer: a monitor's alarm must not depend on what it watches."""
    name, text = "database_up", "1 while the database answers, and the figures below are there."
    try:
        found = figures.read()
    except DatabaseError:
        yield _one(name, text, 0)
        return
    yield _one(name, text, 1)
    yield from _families(found)


def _families(found: figures.Figures) -> Iterator[Metric]:
    yield _by("jobs", "Jobs by state.", "state", found.jobs)
    yield _one("oldest_pending_job_seconds", "Age of the oldest pending job.", found.oldest_pending_seconds)
    yield _by("assignments", "Assignments that have not ended, by state.", "state", found.assignments)
    yield _by("workers", "Workers that are registered, active, and active and heard lately.", "kind", found.workers)
    verdicts = CounterMetricFamily("computenet_verdicts", "Verdicts by outcome.", labels=["outcome"])
    for outcome, count in found.verdicts.items():
        verdicts.add_metric([outcome], count)
    yield verdicts
    took = found.verification_seconds
    yield CounterMetricFamily("computenet_verification_seconds", "What the checks of all verdicts took.", value=took)
    yield _by("queue_messages", "Messages that wait for the coordinator.", "queue", found.queues)
    balances = {kind: micro / MICRO for kind, micro in found.balances.items()}
    yield _by("ledger_tokens", "Tokens by kind of account; together they are zero.", "kind", balances)
    yield _one("open_contests", "Contested rejections that wait for an operator.", found.open_contests)
    yield _one("unsealed_rows", "Rows that wait to be numbered in the sealed log.", found.unsealed)
    yield _one("sealed_leaves", "Leaves under the newest checkpoint.", found.sealed_leaves)
    yield _one("books_problems", "Problems that the last replay of the ledger found.", found.books_problems)
    for name, text, age in (
        ("beat_age_seconds", "Since the last coordination cycle.", found.beat_age_seconds),
        ("checkpoint_age_seconds", "Since the newest checkpoint of the sealed log.", found.checkpoint_age_seconds),
        ("books_age_seconds", "Since the last replay of the ledger.", found.books_age_seconds),
    ):
        if age is not None:
            yield _one(name, text, age)


def _by(name: str, text: str, label: str, values: dict[str, Any]) -> Metric:
    family = GaugeMetricFamily(f"computenet_{name}", text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _one(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"computenet_{name}", text, value=value)


REGISTRY.register(NetworkCollector())


class MonitorAuthentication(BaseAuthentication):
    """``Authorization: Bearer <METRICS_KEY>``: a monitor, which may read the figures and nothing else."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, str] | None:
        scheme, _, secret = get_authorization_header(request).strip().partition(b" ")
        key = settings.METRICS_KEY.encode()
        if not key or scheme.lower() != b"bearer" or not hmac.compare_digest(secret.strip(), key):
            return None
        return AnonymousUser(), "monitor"

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class MonitorAuthenticationScheme(OpenApiAuthenticationExtension):
    """How the OpenAPI schema says it."""

    target_class = MonitorAuthentication
    name = "monitor"

    def get_security_definition(self, auto_schema):
        return {"type": "http", "scheme": "bearer", "description": "The operator's METRICS_KEY."}


class MonitorOrOperator(Scoped):
    def has_permission(self, request, view) -> bool:
        return request.auth == "monitor" or super().has_permission(request, view)


class TextRenderer(BaseRenderer):
    media_type = "text/plain"
    format = "txt"

    def render(self, data, accepted_media_type=None, renderer_context=None):
        if renderer_context:
            renderer_context["response"]["Content-Type"] = "application/json"
        return JSONRenderer().render(data)


class Metrics(Call):
    """The network's figures and this web process's own counters, in Prometheus's text format.

    For an operator, or a monitor that sends the setting METRICS_KEY as its key.
    """

    authentication_classes = (MonitorAuthentication, KeyAuthentication, SessionAuthentication)
    permission_classes = (MonitorOrOperator,)
    renderer_classes = (TextRenderer, JSONRenderer)
    read_scope = Scope.OPERATE

    @extend_schema(tags=["network"], operation_id="metrics", responses={(200, "text/plain"): OpenApiTypes.STR})
    def get(self, request):
        return HttpResponse(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)
