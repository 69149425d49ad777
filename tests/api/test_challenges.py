"""A measurement over HTTP, as a machine meets it."""

import base64
from typing import Any

import pytest
from django.test import Client

from marketplace.domain import measuring
from marketplace.models import Challenge, Worker
from tests.api.calls import is_refused, post, register_worker
from tests.api.machine import Machine
from workers.catalog.backend import NUMPY
from workers.catalog.matrix_rate import LARGEST, MOST_ROUNDS, OPENED, Run

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "CPU_SIZE", (64, 16))
    monkeypatch.setattr(measuring, "SETTLE_SECONDS", 0.0)


@pytest.fixture
def machine(client: Client) -> Machine:
    return Machine(register_worker(client).json()["enrolment_key"])


def call(machine: Machine, verb: str, body: Any = None) -> Any:
    challenge = Challenge.objects.get().pk
    return post(machine.http, f"/worker/challenge/{challenge}/{verb}", {} if body is None else body,
                headers=machine.headers)  # fmt: skip


def opening(run: Run, leaves: list[int]) -> dict[str, Any]:
    def text(content: bytes) -> str:
        return base64.b64encode(content).decode()

    opened = run.open(leaves).items()
    return {"columns": [{"leaf": leaf, "data": text(data), "path": text(path)} for leaf, (data, path) in opened]}


def test_a_machine_is_offered_a_measurement_and_shows_what_it_can(client: Client, machine: Machine) -> None:
    assert machine.heartbeat().json()["challenge"] == str(Challenge.objects.get().pk)
    told = call(machine, "start").json()
    assert set(told) == {"n", "rounds", "seed", "seconds"}
    run = Run(bytes.fromhex(told["seed"]), told["n"], told["rounds"], NUMPY)
    leaves = call(machine, "commit", {"root": run.root().hex()}).json()["columns"]
    outcome = call(machine, "open", opening(run, leaves)).json()
    assert (outcome["passed"], outcome["doubted"]) == (True, True), "it claims 82.6 TFLOPS"
    for answer in (client.get("/worker/rtx_01/status").json(), client.get("/workers").json()["workers"][0]):
        assert (answer["measured_rate"], answer["claim_doubted"]) == (outcome["rate"], True)
    assert "challenge" not in machine.heartbeat().json()


def test_a_worker_that_was_not_measured_has_no_rate(client: Client) -> None:
    register_worker(client)
    answer = client.get("/worker/rtx_01/status").json()
    assert (answer["measured_rate"], answer["claim_doubted"]) == (None, False)


def test_calls_without_the_secret_or_out_of_turn_change_nothing(client: Client, machine: Machine) -> None:
    challenge = Challenge.objects.get()
    for verb, body in (("start", {}), ("commit", {"root": "0" * 64}), ("open", {"columns": []})):
        is_refused(post(client, f"/worker/challenge/{challenge.pk}/{verb}", body), 401)
    is_refused(call(machine, "commit", {"root": "0" * 64}), 409)
    is_refused(call(machine, "open", {"columns": []}), 409)
    challenge.refresh_from_db()
    assert challenge.state == "waiting"


BAD = [
    None, [], [1], {}, {"columns": None}, {"columns": [{}]}, {"columns": [None]},
    {"columns": [{"leaf": 0, "data": "*", "path": ""}]},
    {"columns": [{"leaf": 0, "data": "AA", "path": ""}]},
    {"columns": [{"leaf": -1, "data": "AAAA", "path": ""}]},
    {"columns": [{"leaf": 2**40, "data": "AAAA", "path": ""}]},
    {"columns": [{"leaf": 0, "data": "A" * 8000, "path": ""}]},
    {"columns": [{"leaf": 0, "data": "AAAA", "path": "A" * 4000}]},
    {"columns": [{"leaf": i, "data": "AAAA", "path": ""} for i in range(2 * OPENED + 1)]},
]  # fmt: skip


@pytest.mark.parametrize("body", BAD, ids=lambda body: str(body)[:50])
def test_an_opening_that_is_none_is_refused_before_anything_is_computed(machine: Machine, body: Any) -> None:
    call(machine, "start")
    assert call(machine, "commit", {"root": "0" * 64}).status_code == 200
    headers, path = machine.headers, f"/worker/challenge/{Challenge.objects.get().pk}/open"
    is_refused(post(machine.http, path, body, headers=headers))
    assert Challenge.objects.get().state == "committed"


@pytest.mark.parametrize("root", ["", "0" * 63, "G" * 64, "A" * 64, 5, None, "0" * 64 + "\n"])
def test_a_root_that_is_none_is_refused(machine: Machine, root: Any) -> None:
    call(machine, "start")
    is_refused(call(machine, "commit", {"root": root}))
    assert Challenge.objects.get().state == "started"


def test_columns_that_were_not_computed_end_in_doubt(machine: Machine) -> None:
    call(machine, "start")
    leaves = call(machine, "commit", {"root": "0" * 64}).json()["columns"]
    made_up = [{"leaf": leaf, "data": "AAAA", "path": ""} for leaf in leaves]
    outcome = call(machine, "open", {"columns": made_up}).json()
    assert (outcome["passed"], outcome["doubted"]) == (False, True)
    assert Worker.objects.get().claim_doubted


def test_the_largest_opening_fits_a_body(settings) -> None:
    depth = (MOST_ROUNDS // 16 * LARGEST).bit_length() - 1
    one = 4 * (LARGEST + 32 * depth + 4) // 3 + 60
    assert 2 * OPENED * one < settings.MAX_BODY_BYTES
