"""Outside the sandbox: nothing without a log-in, nothing of another's, the network for operators alone."""

from base64 import b64encode
from typing import Any

import pytest
from django.test import Client

from tests.api.calls import ROWS, is_refused, post, register_client, row_counts, submit_job, upload
from tests.api.machine import ENROLMENT
from tests.dashboard import cast

pytestmark = pytest.mark.django_db
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(autouse=True)
def outside_the_sandbox(settings: Any) -> None:
    settings.SANDBOX = False
    settings.CORS_ALLOWED_ORIGIN_REGEXES = []


def signed_in(name: str, **more: Any) -> Client:
    client = Client()
    client.force_login(cast.a_user(name, **more))
    return client


@pytest.fixture
def alice() -> Client:
    client = signed_in("alice_user")
    assert register_client(client).json()["balance"] == 0
    return client


GETS = ["/workers", "/clients", "/client/alice/balance", "/jobs", "/jobs/pending", "/network/stats", "/datasets",
        "/worker/rtx_01/status", f"/job/{NOBODY}/status", f"/job/{NOBODY}/result", "/datasets/" + "0" * 64]  # fmt: skip
POSTS = ["/worker/register", "/client/register", "/job/submit", "/quote", f"/job/{NOBODY}/cancel",
         "/network/coordination/start", "/network/coordination/stop", "/network/coordination/trigger"]  # fmt: skip


def test_without_a_log_in_nothing_is_answered(client: Client) -> None:
    before = row_counts()
    for path in GETS:
        is_refused(client.get(path), 401)
    for path in POSTS:
        is_refused(post(client, path, {"client_address": "eve"}), 401)
    is_refused(upload(client, b"1,2\n3,4\n"), 401)
    assert row_counts() == before


def test_the_front_door_and_health_need_no_log_in(client: Client) -> None:
    assert client.get("/").status_code == client.get("/health").status_code == client.get("/schema/").status_code == 200


def test_a_password_is_no_key(client: Client) -> None:
    cast.alice()
    basic = b64encode(b"alice:correct horse battery").decode()
    for header in (f"Basic {basic}", "Bearer correct horse battery", "Bearer ", "Token x", "Bearer \u00ff"):
        is_refused(client.get("/jobs", headers={"Authorization": header}), 401)


def test_nobody_sets_their_own_balance(alice: Client) -> None:
    before = row_counts()
    is_refused(register_client(alice, "mallory", initial_balance=10**6), 403)
    assert row_counts() == before


def test_a_worker_needs_a_stake_that_its_contributor_has(alice: Client) -> None:
    before = row_counts()
    worker = {"worker_id": "w", "gpu_type": "RTX 4090", "compute_capacity": 82.6, "stake_amount": 150}
    is_refused(post(alice, "/worker/register", worker))
    assert row_counts() == before


def test_clients_of_others_are_not_there(alice: Client) -> None:
    bob, operator = signed_in("bob_user"), signed_in("operator", is_staff=True)
    assert alice.get("/clients").json() == {"clients": [{"client_address": "alice", "balance": 0}], "count": 1}
    assert bob.get("/clients").json() == {"clients": [], "count": 0}
    is_refused(bob.get("/client/alice/balance"), 404)
    assert operator.get("/client/alice/balance").status_code == 200
    assert operator.get("/clients").json()["count"] == 1


def test_jobs_and_datasets_of_others_are_not_there(alice: Client, settings: Any) -> None:
    settings.SANDBOX = True
    rich = signed_in("rich_user")
    register_client(rich, "rich", initial_balance=1000)
    job_id = submit_job(rich, client_address="rich").json()["job_id"]
    dataset = upload(rich, b"1,2\n3,4\n").json()["dataset_id"]
    settings.SANDBOX = False
    for path in [f"/job/{job_id}/status", f"/job/{job_id}/result", f"/datasets/{dataset}"]:
        is_refused(alice.get(path), 404)
    is_refused(post(alice, f"/job/{job_id}/cancel"), 404)
    is_refused(submit_job(alice, client_address="rich"), 404)
    is_refused(post(alice, "/quote", {"client_address": "rich", "model_type": "pca_analysis", "data": ROWS}), 404)
    for path in ["/jobs", "/jobs/pending", "/datasets"]:
        assert alice.get(path).json()["count"] == 0
        assert rich.get(path).json()["count"] >= 1
    assert rich.get(f"/job/{job_id}/status").json()["status"] == "pending"
    assert post(rich, f"/job/{job_id}/cancel").json()["status"] == "cancelled"


def test_coordination_is_the_operators(alice: Client) -> None:
    operator = signed_in("operator", is_staff=True)
    for verb in ["start", "stop", "trigger"]:
        is_refused(post(alice, f"/network/coordination/{verb}"), 403)
        assert post(operator, f"/network/coordination/{verb}").json()["success"] is True


def test_a_log_in_does_not_make_a_machine(alice: Client) -> None:
    body = {"assignments": [], "load": None, "memory_free_bytes": None, "temperature_celsius": None}
    is_refused(post(alice, "/worker/heartbeat", body), 401)
    is_refused(post(alice, "/worker/enrol", ENROLMENT | {"enrolment_key": "x" * 43}), 403)


def test_a_page_elsewhere_cannot_write_in_a_users_name(alice: Client) -> None:
    guarded = Client(enforce_csrf_checks=True)
    guarded.cookies = alice.cookies
    is_refused(register_client(guarded, "second"), 403)
    origin = {"Origin": "null"}
    is_refused(post(alice, "/client/register", {"client_address": "third"}, headers=origin), 403)
