"""A page costs about the same on a large network as on an empty one.

`COMPUTENET_SIZE=100000` fills in that many jobs and a hundredth as many workers; the suite takes fewer. What is
measured is this process's CPU time, which on SQLite is the database's too.
"""

import os
import time
import uuid
from datetime import timedelta
from itertools import cycle

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch, reverse

from marketplace.actions import records, sealing, tallies
from marketplace.models import Account, Assignment, Event, Job, Transfer, Worker, database_now, guards
from tests.dashboard import cast

JOBS = int(os.environ.get("COMPUTENET_SIZE", "4000"))
ROUTES = ("home", "market", "jobs", "new-job", "wallet", "ledger", "add-machine")
MOST_QUERIES, MOST_RATIO = 20, 2.0


def seed() -> None:
    cast.a_worker("rig")
    cast.a_client("grace")
    cast.a_job(ada := cast.a_client("ada"), "verified")
    cast.a_job(ada)


def fill() -> None:
    """Ended jobs with their attempts, idle workers, events, transfers there and back: rows that the guards refuse."""
    guards.drop()
    like, now = Job.objects.get(state="verified"), database_now()
    moments = [now - timedelta(seconds=2 * number) for number in range(JOBS)]
    fixed = {
        field.attname: getattr(like, field.attname)
        for field in Job._meta.fields
        if field.attname not in ("id", "escrow_id", "state", "submitted_at", "ended_at", "worker_id", "scalars")
    }
    escrows = Account.objects.bulk_create(
        [Account(kind="escrow", name=str(uuid.uuid4())) for _ in moments], batch_size=500
    )
    jobs = [
        Job(**fixed, escrow=escrow, state="failed" if number % 9 else "cancelled", submitted_at=at, ended_at=at)
        for number, (escrow, at) in enumerate(zip(escrows, moments, strict=True))
    ]
    jobs = Job.objects.bulk_create(jobs, batch_size=500)
    Event.objects.bulk_create(
        [Event(kind=f"job.{job.state}", job=job, actor="coordinator", created_at=job.ended_at) for job in jobs],
        batch_size=500,
    )
    ada, grace = (Account.objects.get(kind="wallet", name=name) for name in ("ada", "grace"))
    pairs = [(ada, grace), (grace, ada)]
    transfers = [
        Transfer(source=a, destination=b, amount=5, code="transfer", idempotency_key=f"size:{number}:{a.pk}")
        for number in range(JOBS // 2)
        for a, b in pairs
    ]
    Transfer.objects.bulk_create(transfers, batch_size=500)
    last = Transfer.objects.order_by("-pk").values_list("pk", flat=True)[0]
    Account.objects.filter(pk__in=[ada.pk, grace.pk]).update(last_transfer=last)
    rig = Worker.objects.select_related("contributor").get(name="rig")
    names = [f"rig_{number}" for number in range(JOBS // 100)]
    stakes = Account.objects.bulk_create([Account(kind="stake", name=name) for name in names], batch_size=500)
    shared = {"contributor": rig.contributor, "gpu_type": rig.gpu_type, "gpu_tag": rig.gpu_tag, "enrolled_at": now}
    shared |= {"compute_capacity": 82.6, "last_heartbeat_at": now + timedelta(hours=1), "protocol": rig.protocol}
    workers = [Worker(name=stake.name, stake=stake, **shared) for stake in stakes]
    Worker.objects.bulk_create(workers, batch_size=500)
    attempts = [
        Assignment(job=job, worker=worker, fence=1, state="lost", lease_expires_at=at, created_at=at, ended_at=at)
        for job, worker, at in zip(jobs, cycle([rig, *workers]), moments, strict=False)
    ]
    Assignment.objects.bulk_create(attempts, batch_size=500)
    guards.create()
    sealing.note_missing()


def pages() -> dict[str, str]:
    found = {}
    for route in ROUTES:
        try:
            found[route] = reverse(route)
        except NoReverseMatch:
            continue
    worker, job = Worker.objects.get(name="rig"), Job.objects.get(state="verified")
    waiting = Job.objects.get(state="pending")
    asked = "?dataset=sample&client_address=ada&model_type=kmeans_clustering"
    return found | {
        "worker": reverse("worker", args=[worker.name]),
        "job": reverse("job", args=[job.pk]),
        "waiting job": reverse("job", args=[waiting.pk]),
        "result": reverse("result", args=[job.pk]),
        "model": reverse("new-job-model") + asked,
        "quote": reverse("new-job-quote") + asked,
    }


def cost(client, url: str) -> tuple[int, float]:
    """Queries, and the least CPU seconds of a few requests."""
    with CaptureQueriesContext(connection) as queries:
        assert client.get(url).status_code == 200
    count = len(queries)
    took = []
    for _ in range(7):
        began = time.process_time()
        client.get(url)
        took.append(time.process_time() - began)
    return count, min(took)


@pytest.mark.django_db
def test_every_page_takes_few_queries_and_about_the_same_time_on_a_large_network(client, capsys, settings):
    seed()
    olga = cast.olga()
    settings.SANDBOX = False
    client.force_login(olga)
    small = {name: cost(client, url) for name, url in pages().items()}
    fill()
    tallies.take()
    records.take(None)
    large = {name: cost(client, url) for name, url in pages().items()}
    report, wrong = [], []
    for name, (queries, seconds) in large.items():
        ratio = seconds / small[name][1]
        before = small[name][1] * 1000
        line = f"{name}: {queries} queries, {seconds * 1000:.1f} ms, {ratio:.2f} × the {before:.1f} ms of before"
        report.append(line)
        too_slow = connection.vendor == "sqlite" and ratio > MOST_RATIO
        if queries >= MOST_QUERIES or too_slow:
            wrong.append(line)
    with capsys.disabled():
        if "COMPUTENET_SIZE" in os.environ:
            print("", f"{JOBS} jobs, {JOBS // 100} workers", *report, sep="\n")
    assert not wrong, "\n".join(wrong)
