"""Every field of every call gets every nasty value: whatever is answered, it is never a failure of the server's own."""

from typing import Any

import pytest
from django.test import Client

from tests.api.calls import ROWS, WORKER, post, register_client, register_worker, submit_job
from tests.api.machine import ENROLMENT, Machine

pytestmark = pytest.mark.django_db

DEEP: Any = 1
for _ in range(28):
    DEEP = [DEEP]
NASTY: list[Any] = [
    None, True, False, 0, -1, 1, 1.5, -0.0, 1e308, 1e-320, 2**31, 2**53 + 1, 2**63, -(2**63) - 1, 10**299,
    "", " ", "a", "0", "NaN", "é", "\u202e", "\x7f", "\t", "'; DROP TABLE marketplace_job; --", "%s %d {0} {x}",
    "../..", "x" * 5000, "\U0001f525" * 50, [], [[]], [None], [True], [1], ["a"], [[1], [2, 3]], [{}], {},
    {"": 1}, {"a": None}, {"X": 1}, {"X": [[1]]}, {"X": [[1]], "y": 1}, {"k": 1e308}, {"__proto__": 1}, DEEP,
]  # fmt: skip
JOB = {
    "client_address": "alice",
    "model_type": "kmeans_clustering",
    "reward": 1,
    "dataset": None,
    "data": ROWS,
    "input_data": None,
    "params": {"k": 2},
    "target": None,
    "columns": None,
    "requirements": {"gpu_type": "A100", "min_memory_bytes": 5, "min_compute_capacity": 1},
    "deadline_seconds": 60,
}
BEAT = {"assignment": "00000000-0000-4000-8000-000000000000", "fence": 1, "progress": 0.5, "note": ""}
HEARTBEAT = {"assignments": [BEAT], "load": 0.5, "memory_free_bytes": 5, "temperature_celsius": 50}
OPENED = {"leaf": 0, "data": "AAAA", "path": "AAAA"}
CALLS: dict[str, dict[str, Any]] = {
    "/worker/register": WORKER,
    "/client/register": {"client_address": "carol", "initial_balance": 5},
    "/job/submit": JOB,
    "/quote": JOB,
    "/worker/enrol": ENROLMENT | {"enrolment_key": "x"},
    "/worker/heartbeat": HEARTBEAT,
    "/worker/challenge/00000000-0000-4000-8000-000000000000/start": {},
    "/worker/challenge/00000000-0000-4000-8000-000000000000/commit": {"root": "0" * 64},
    "/worker/challenge/00000000-0000-4000-8000-000000000000/open": {"columns": [OPENED]},
    "/worker/invite": {"worker_id": "new", "gpu_type": "A100", "compute_capacity": 1, "lend": 100, "user": None},
    "/worker/machine/stake": {"amount": 1},
    "/worker/machine/unstake": {"amount": 1},
    "/worker/machine/contest": {"assignment": BEAT["assignment"], "note": "It was right."},
    "/network/coordination/start": {},
    "/assignment/00000000-0000-4000-8000-000000000000/start": {},
    "/assignment/00000000-0000-4000-8000-000000000000/failure": {"fence": 1, "fault": "job", "error": "It broke."},
}


ADDRESSES = ["/worker/{}/status", "/worker/{}/reputation", "/worker/{}/verdicts", "/job/{}/receipt",
             "/assignment/{}/answer", "/client/{}/balance", "/job/{}/status", "/job/{}/result", "/datasets/{}",
             "/dataset/{}", "/jobs?status={}", "/jobs?client={}", "/jobs?limit={}", "/jobs?offset={}",
             "/jobs/pending?limit={}", "/workers?offset={}", "/{}"]  # fmt: skip


def variants(body: Any) -> list[Any]:
    """`body` with each nasty value in the place of each of its parts, and of itself."""
    found = list(NASTY)
    if isinstance(body, dict):
        found += [body | {name: value} for name, part in body.items() for value in variants(part)]
    elif isinstance(body, list) and body and isinstance(body[0], dict):
        found += [[value] for value in variants(body[0])]
    return found


@pytest.mark.parametrize("path", CALLS)
def test_no_value_of_any_field_breaks_the_server(client: Client, path: str) -> None:
    register_client(client)
    machine = Machine(register_worker(client, worker_id="machine").json()["enrolment_key"])
    headers = machine.headers if path.startswith(("/worker/heartbeat", "/worker/challenge", "/assignment")) else {}
    for body in variants(CALLS[path]):
        answer = post(client, path, body, headers=headers)
        assert answer.status_code < 500, (str(body)[:500], answer.json())
        assert answer["Content-Type"] == "application/json"
        if answer.status_code == 400:
            assert answer.json()["error"].count("\n") == 0
    answer = client.options(path, headers=headers)
    assert answer.status_code == 200


def test_no_value_in_an_address_breaks_the_server(client: Client) -> None:
    register_client(client)
    job_id = submit_job(client).json()["job_id"]
    values = ["", "%00", "%ff", "..", "%2e%2e%2f", "a" * 3000, "%F0%9F%94%A5", "'", "%25s", "*", "null", "-1", "9" * 40]
    for value in values:
        for path in [*ADDRESSES, f"/job/{job_id}/result?format={{}}"]:
            answer = client.get(path.format(value))
            assert answer.status_code < 500, (path, value)
