"""Every route of the URL configuration, with what a request to it takes: about Alice's things, in her own words."""

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import URLPattern, get_resolver
from django.urls.resolvers import URLResolver

from tests.access.world import PASSWORD, TABLE, World
from tests.api.calls import ROWS
from tests.api.machine import ENROLMENT
from workers.protocol import DIGEST_HEADER, FENCE_HEADER, SECONDS_HEADER

METHODS = ("get", "post", "put", "patch", "delete")


def walk(patterns: list[URLPattern | URLResolver] | None = None, prefix: str = "/") -> Iterator[tuple[str, Callable]]:
    """Every route and its view, the admin's too."""
    for each in get_resolver().url_patterns if patterns is None else patterns:
        route = prefix + str(each.pattern).removeprefix("^").removesuffix("$")
        if isinstance(each, URLPattern):
            yield route, each.callback
        else:
            yield from walk(each.url_patterns, route)


def methods(view: Any) -> list[str]:
    """What a view of REST framework takes; of a page, looking and sending a form."""
    api = getattr(view, "cls", None)
    return [name.upper() for name in METHODS if hasattr(api, name)] if api else ["GET", "POST"]


def calls() -> Iterator[tuple[str, str]]:
    """(method, route) of all but the admin's."""
    for route, view in walk():
        if not route.startswith("/admin/"):
            yield from ((method, route) for method in methods(view))


def address(world: World, method: str, route: str) -> str:
    """The route about Alice's own."""
    job = world.pending if "cancel" in route else world.verified
    names = {
        "<name:address>": "alices_lab",
        "<name:name>": "alices_lab" if route.startswith("/token") else "alices_gpu",
        "<str:name>": "alices_gpu",
        "<uuid:job_id>": job.pk,
        "<uuid:assignment_id>": world.accepted.pk if route.endswith("answer") else world.live.pk,
        "<uuid:challenge_id>": "00000000-0000-4000-8000-000000000000",
        "<uuid:key_id>": world.her_key.key.pk,
        "<int:grant_id>": world.grant,
        "<uuid:upload_id>": world.upload,
        "<int:number>": 0,
        "<sha256:dataset_id>": world.dataset,
        "<sha256:sha256>": world.live.job.dataset.matrix_sha256,
        "<slug:name>": "coefficients",
        "<str:verb>": "start" if "network" in route else "freeze",
        "(?P<key>[-:\\w]+)": "no-such-key",
        "(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)": "1-no-such-key",
    }
    for pattern, value in names.items():
        route = route.replace(pattern, str(value))
    assert "<" not in route, f"Say in tests/access/routes.py what {route} takes."
    if route.startswith("/dashboard/wallet/") and method == "POST" and not route.endswith(("wallet/", ".csv")):
        return f"{route}?name=alices_lab"
    if route.startswith("/dashboard/jobs/new/"):
        return f"{route}?dataset={world.dataset}&model_type=pca_analysis&client_address=alices_lab"
    return route + ("?owner=alices_lab&spender=alice" if route == "/token/allowance" else "")


JOB = {"client_address": "alices_lab", "model_type": "linear_regression", "reward": 20, "data": ROWS}
BODIES: dict[str, dict[str, Any]] = {
    "/worker/register": {"worker_id": "w2", "gpu_type": "RTX 4090", "compute_capacity": 82.6, "stake_amount": 100},
    "/worker/enrol": ENROLMENT | {"enrolment_key": "x" * 43},
    "/worker/heartbeat": {"assignments": [], "load": None, "memory_free_bytes": None, "temperature_celsius": None},
    "/worker/challenge/<uuid:challenge_id>/commit": {"root": "0" * 64},
    "/worker/challenge/<uuid:challenge_id>/open": {"columns": []},
    "/worker/invite": {"worker_id": "w3", "gpu_type": "CPU", "compute_capacity": 0.1, "lend": 100},
    "/worker/<name:name>/stake": {"amount": 1},
    "/worker/<name:name>/unstake": {"amount": 1},
    "/datasets/<sha256:dataset_id>/receivers": {"contributors": ["alice"]},
    "/uploads": {"filename": "more.csv", "size_bytes": 100, "sha256": "a" * 64},
    "/pools/<name:name>": {"add": ["alices_gpu"]},
    "/worker/<name:name>/schedule": {"schedule": "22:00-06:00"},
    "/client/register": {"client_address": "second_lab"},
    "/job/submit": JOB,
    "/quote": {name: value for name, value in JOB.items() if name != "reward"},
    "/assignment/<uuid:assignment_id>/failure": {"fence": 1, "fault": "system", "error": "out of memory"},
    "/token/transfer": {"from": "alices_lab", "to": "bobs_lab", "amount": 1},
    "/token/approve": {"owner": "alices_lab", "spender": "bobs_lab", "amount": 1},
    "/token/transfer-from": {"from": "alices_lab", "spender": "alice", "to": "bobs_lab", "amount": 1},
    "/token/faucet": {"to": "alices_lab"},
    "/keys": {"name": "another", "scopes": ["read"]},
    "/invitations": {"roles": ["client"]},
    "/grants": {"to": "alices_lab", "amount": 1, "period": "once"},
}
FORMS: dict[str, dict[str, Any]] = {
    "/login/": {"login": "alice", "password": "wrong"},
    "/account/": {"key-name": "another", "key-scopes": ["read"], "key-days": 5},
    "/account/invitations/": {"invite-roles": ["client"], "invite-days": 5},
    "/accounts/password/reset/": {"email": "alice@example.org"},
    "/accounts/password/change/": {"oldpassword": "wrong", "password1": PASSWORD, "password2": PASSWORD},
    "/dashboard/clients/": {"client-client_address": "second_lab"},
    "/dashboard/workers/": {"worker-worker_id": "w2", "worker-gpu_type": "A100", "worker-stake_amount": "100"},
    "/dashboard/wallet/transfer/": {"transfer-to": "bobs_lab", "transfer-amount": "1", "transfer-once": "x"},
    "/dashboard/wallet/approve/": {"approve-spender": "bobs_lab", "approve-amount": "1"},
    "/dashboard/wallet/take/": {"take-owner": "alices_lab", "take-amount": "1"},
    "/dashboard/workers/<str:name>/stake/": {"amount": "1"},
    "/dashboard/workers/<str:name>/unstake/": {"amount": "1"},
    "/dashboard/workers/<str:name>/hours/": {"schedule": "", "time_zone": "UTC"},
    "/dashboard/jobs/new/": {"pasted": "1,2\n3,4\n"},
    "/dashboard/jobs/new/quote/": {"reward": "20"},
    "/dashboard/jobs/": {"job-client_address": "alices_lab", "job-model_type": "pca_analysis", "job-reward": "20"},
}


LOG_IN = "log-in"


def call(http: Any, world: World, method: str, route: str, **more: Any) -> str:
    """Make one request, and answer its status, or "log-in" where it leads there. Who logs out by it is in again."""
    cookies = http.cookies.copy()
    try:
        response = _call(http, world, method, route, more)
        if response.streaming:
            list(response)  # which closes, at its end, what was sent and what is streamed
        to_log_in = response.status_code == 302 and response.headers["Location"].startswith("/login/?next=")
        return LOG_IN if to_log_in else str(response.status_code)
    finally:
        http.cookies = cookies


def _call(http: Any, world: World, method: str, route: str, more: dict[str, Any]) -> Any:
    url, send = address(world, method, route), getattr(http, method.lower())
    if method == "GET":
        return send(url)
    if route == "/datasets":
        return send(url, {"file": SimpleUploadedFile("mine.csv", TABLE + b"1,1,1\n")})
    if route == "/job/<uuid:job_id>/predict":
        return send(url, {"file": SimpleUploadedFile("mine.csv", TABLE)})
    contested = {"assignment": str(world.rejected.pk), "note": "It was right."}
    if route == "/dashboard/workers/<str:name>/contest/":
        return send(url, contested)
    if route == "/worker/<name:name>/contest":
        body: Any = contested
    elif "/parts/" in route:
        return send(url, b"x", content_type="application/octet-stream")
    elif route == "/assignment/<uuid:assignment_id>/result":
        digest = hashlib.sha256(b"x").hexdigest()
        headers = {FENCE_HEADER: "1", DIGEST_HEADER: digest, SECONDS_HEADER: "0.1"}
        return send(url, b"x", content_type="application/octet-stream", headers=headers)
    elif route == "/assignments/start":
        body = {"assignments": [str(world.live.pk)]}
    elif route == "/assignments/results":
        note = {"assignment": str(world.live.pk), "fence": 1, "sha256": hashlib.sha256(b"x").hexdigest()}
        line = json.dumps({"answers": [note | {"seconds": 0.1, "size_bytes": 1}]}).encode()
        return send(url, line + b"\nx", content_type="application/octet-stream")
    elif route == "/jobs":
        body = {"jobs": [{name: value for name, value in JOB.items() if name != "data"} | {"dataset": world.dataset}]}
    elif route in BODIES or not route.endswith("/"):
        body = BODIES.get(route, {}) | more
    elif route == "/account/erase/":
        logged_in = User.objects.filter(pk=http.session.get("_auth_user_id")) if http.cookies else User.objects
        return send(url, {"erase-username": logged_in.earliest("pk").username})
    else:
        return send(url, FORMS.get(route, {}))
    return send(url, body, content_type="application/json")
