"""A worker's owner comes first: pausing, resuming and hours over HTTP, and what becomes of jobs."""

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from marketplace.actions import coordination, heartbeats, pauses
from marketplace.actions.expiry import expire_leases
from marketplace.models import Assignment, Job, Worker
from tests import factories as make
from tests.api.calls import is_refused, post

pytestmark = pytest.mark.django_db
MACHINE = {"assignments": [], "load": None, "memory_free_bytes": None, "temperature_celsius": None}


def a_job_in_hand() -> tuple[Worker, Assignment]:
    make.make_client()
    worker = make.make_worker()
    assignment = make.assign(make.make_job(data=make.rows()))
    make.start(assignment)
    return worker, assignment


def closed_hours() -> str:
    """Hours that now are not among, by UTC."""
    now = datetime.now(UTC)
    return f"{(now + timedelta(hours=2)):%H:%M}-{(now + timedelta(hours=3)):%H:%M}"


def stake_and_reputation(worker: Worker) -> tuple[int, float]:
    worker.stake.refresh_from_db(), worker.contributor.refresh_from_db()
    return worker.stake.balance, worker.contributor.reputation


def test_a_paused_worker_finishes_what_it_has_and_gets_nothing_new(client: Client) -> None:
    worker, assignment = a_job_in_hand()
    answer = post(client, f"/worker/{worker.name}/pause", {}).json()
    assert answer == {"success": True, "worker_id": worker.name, "paused": True, "schedule": "", "time_zone": "UTC"}
    assert make.beat(worker, assignment) | {"challenge": None} == {
        "cancel": [], "drain": True, "heartbeat_seconds": 2.0, "challenge": None,
    }  # fmt: skip
    make.submit_answer(assignment, make.right_answer(assignment.job))
    assert make.verify(assignment) == "accepted"
    make.make_job(data=make.rows(seed=1))
    assert coordination.assign_pending() == 0
    assert post(client, f"/worker/{worker.name}/resume", {}).json()["paused"] is False
    assert coordination.assign_pending() == 1


def test_a_job_that_is_handed_back_costs_nothing_and_goes_to_others(client: Client) -> None:
    worker, assignment = a_job_in_hand()
    before = stake_and_reputation(worker)
    assert post(client, f"/worker/{worker.name}/pause", {"hand_back": True}).status_code == 200
    assert make.beat(worker, assignment)["cancel"] == [str(assignment.pk)]
    assert Job.objects.get().state == "pending" and stake_and_reputation(worker) == before
    make.make_worker("other")
    assert make.assign(Job.objects.get()).worker.name == "other"


def test_outside_its_hours_a_worker_gets_nothing_and_says_why(client: Client) -> None:
    make.make_client()
    worker = make.make_worker()
    answer = post(client, f"/worker/{worker.name}/schedule", {"schedule": closed_hours()})
    assert answer.status_code == 200 and answer.json()["schedule"] == closed_hours()
    make.make_job(data=make.rows())
    assert coordination.assign_pending() == 0 and make.beat(worker)["drain"] is True
    assert client.get(f"/worker/{worker.name}/status").json()["schedule"] == closed_hours()
    post(client, f"/worker/{worker.name}/schedule", {"schedule": ""})
    assert coordination.assign_pending() == 1


@pytest.mark.parametrize(
    "body", [{"schedule": "at night"}, {"schedule": "18:00-08:00", "time_zone": "Europe/Atlantis"}, {"schedule": 5}, {}]
)
def test_hours_that_cannot_be_are_refused_and_change_nothing(client: Client, body: dict) -> None:
    worker = make.make_worker()
    is_refused(post(client, f"/worker/{worker.name}/schedule", body))
    worker.refresh_from_db()
    assert (worker.schedule, worker.time_zone) == ("", "UTC")


def test_a_machine_that_stands_aside_gets_nothing_until_it_is_back() -> None:
    make.make_client()
    worker = make.make_worker()
    heartbeats.heartbeat(machine=worker, request=MACHINE | {"aside": "the GPU is at 91 °C"})
    worker.refresh_from_db()
    make.make_job(data=make.rows())
    assert "91 °C" in worker.why_resting(datetime.now(UTC)) and coordination.assign_pending() == 0
    heartbeats.heartbeat(machine=worker, request=MACHINE)
    assert coordination.assign_pending() == 1


def test_a_machine_that_said_it_stands_aside_is_no_no_show() -> None:
    worker, assignment = a_job_in_hand()
    before = stake_and_reputation(worker)
    heartbeats.heartbeat(machine=worker, request=MACHINE | {"aside": "another process uses the GPU"})
    Assignment.objects.filter(pk=assignment.pk).update(lease_expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert expire_leases() == 1 and stake_and_reputation(worker) == before


def test_handing_back_again_and_again_uses_up_none_of_the_jobs_attempts() -> None:
    make.make_client()
    make.make_worker()
    job = make.make_job()
    for _ in range(job.max_attempts + 2):
        coordination.assign_pending()
        job.refresh_from_db()
        assert job.state == "assigned"
        for paused in (True, False):
            pauses.set_paused(name="rtx4090", paused=paused, user=None, actor="owner", hand_back=paused)
    job.refresh_from_db()
    assert job.state == "pending"
