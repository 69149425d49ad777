"""What this process counts of itself, for Prometheus. Each web process has its own; a monitor asks each."""

from prometheus_client import CollectorRegistry, Counter, Histogram

REGISTRY = CollectorRegistry()

REQUESTS = Counter("computenet_http_requests", "Requests answered.", ["method", "route", "status"], registry=REGISTRY)
LATENCY = Histogram(
    "computenet_http_request_seconds",
    "From a request's arrival in Django to its answer.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=REGISTRY,
)
UNSENT = Counter(
    "computenet_dispatch_failures", "Messages that Redis did not take from this process; a cycle sends them again.",
    ["task"], registry=REGISTRY,
)  # fmt: skip
