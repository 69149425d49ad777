"""The calls of contributors' machines, and what a stranger's machine may not do."""

import hashlib
from typing import Any

import numpy as np
import pytest
from django.test import Client

from marketplace.models import Assignment, Worker
from tests.api.calls import is_refused, post, register_client, register_worker, row_counts, submit_job
from tests.api.machine import ENROLMENT, Machine, assign
from workers.protocol import DIGEST_HEADER, FENCE_HEADER, SECONDS_HEADER

pytestmark = pytest.mark.django_db


@pytest.fixture
def machine(client: Client) -> Machine:
    return Machine(register_worker(client).json()["enrolment_key"])


@pytest.fixture
def assignment(client: Client, machine: Machine) -> Assignment:
    register_client(client)
    return assign(submit_job(client).json()["job_id"])


def other_machine(client: Client) -> Machine:
    return Machine(register_worker(client, worker_id="rtx_02").json()["enrolment_key"])


def test_enrolling_gives_the_machine_its_secrets_and_its_queue(machine: Machine) -> None:
    fields = {"worker", "worker_id", "secret", "queue", "broker_url", "heartbeat_seconds", "transport"}
    assert set(machine.reply) == fields
    assert machine.reply["queue"] == f"gpu.rtx-4090.{machine.reply['worker']}"


def test_an_enrolment_key_opens_once(client: Client) -> None:
    body = ENROLMENT | {"enrolment_key": register_worker(client).json()["enrolment_key"]}
    assert post(client, "/worker/enrol", body).status_code == 200
    is_refused(post(client, "/worker/enrol", body), 403)
    is_refused(post(client, "/worker/enrol", body | {"enrolment_key": "x" * 43}), 403)


@pytest.mark.parametrize(
    "more",
    [
        {"slots": 0},
        {"slots": "1"},
        {"slots": True},
        {"protocol": "1"},
        {"catalog": {"pca": "1"}},
        {"catalog": [1]},
        {"device": {}},
        {"device": ENROLMENT["device"] | {"memory_bytes": -1}},  # type: ignore[operator]
        {"device": ENROLMENT["device"] | {"simulated": "no"}},  # type: ignore[operator]
        {"device": ENROLMENT["device"] | {"backend": "abacus"}},  # type: ignore[operator]
        {"hostname": None},
        {"password": "x"},
    ],
    ids=str,
)
def test_a_bad_enrolment_is_refused_and_its_key_still_opens(client: Client, more: dict[str, Any]) -> None:
    body = ENROLMENT | {"enrolment_key": register_worker(client).json()["enrolment_key"]}
    before = row_counts()
    is_refused(post(client, "/worker/enrol", body | more))
    assert row_counts() == before
    assert post(client, "/worker/enrol", body).status_code == 200


def test_a_machine_without_its_secret_is_turned_away(client: Client, machine: Machine) -> None:
    worker = machine.reply["worker"]
    bodies = {"assignments": [], "load": None, "memory_free_bytes": None, "temperature_celsius": None}
    elsewhere = f"Worker 00000000-0000-4000-8000-000000000000.{machine.reply['secret']}"
    wrong = ["", "Worker", "Worker x", "Basic YTpi", elsewhere]
    wrong += [f"Worker {worker}{secret}" for secret in ["", ".", ".wrong", ".\xe9"]]
    for header in wrong:
        answer = post(client, "/worker/heartbeat", bodies, headers={"Authorization": header})
        is_refused(answer, 401)
        assert answer["WWW-Authenticate"] == "Worker"
    assert post(client, "/worker/heartbeat", bodies, headers=machine.headers).status_code == 200


def test_a_worker_that_was_never_enrolled_has_no_secret(client: Client) -> None:
    register_worker(client)
    worker = Worker.objects.get(name="rtx_01")
    answer = post(client, "/worker/heartbeat", headers={"Authorization": f"Worker {worker.pk}."})
    is_refused(answer, 401)


def test_a_heartbeat_renews_what_it_names_and_learns_what_is_dead(machine: Machine, assignment: Assignment) -> None:
    machine.start(assignment)
    before = Assignment.objects.get(pk=assignment.pk).lease_expires_at
    beat = {"assignment": str(assignment.pk), "fence": assignment.fence, "progress": 0.5, "note": "iteration 3"}
    dead = beat | {"assignment": "00000000-0000-4000-8000-000000000000"}
    late = beat | {"fence": assignment.fence + 1}
    reply = machine.heartbeat(beat, dead, late).json()
    assert reply["cancel"] == [dead["assignment"], late["assignment"]]
    assert reply["drain"] is False and reply["heartbeat_seconds"] > 0
    renewed = Assignment.objects.get(pk=assignment.pk)
    assert renewed.lease_expires_at > before
    assert (renewed.progress, renewed.note) == (0.5, "iteration 3")


@pytest.mark.parametrize(
    "beat",
    [
        {"progress": 2},
        {"progress": "0.5"},
        {"progress": True},
        {"fence": -1},
        {"assignment": "x"},
        {"note": 5},
        {"x": 5},
    ],
    ids=str,
)
def test_a_bad_heartbeat_is_refused(machine: Machine, assignment: Assignment, beat: dict[str, Any]) -> None:
    good = {"assignment": str(assignment.pk), "fence": 1, "progress": 0.5, "note": ""}
    is_refused(machine.heartbeat(good | beat))
    is_refused(machine.heartbeat(load=1.5))
    is_refused(machine.heartbeat(load="0.5"))
    is_refused(machine.heartbeat(colour="red"))


def test_a_start_gives_the_specification_once(machine: Machine, assignment: Assignment) -> None:
    specification = machine.start(assignment).json()
    assert specification["assignment"] == str(assignment.pk)
    assert specification["model"] == "linear_regression"
    assert (specification["features"], specification["target"]) == ([0, 1], 2)
    assert set(specification["matrix"]) == {"sha256", "size_bytes", "rows", "columns"}
    assert "alice" not in str(specification)
    is_refused(machine.start(assignment), 409)


def test_a_strangers_machine_sees_nothing_of_an_assignment(
    client: Client, machine: Machine, assignment: Assignment
) -> None:
    stranger = other_machine(client)
    is_refused(stranger.start(assignment), 404)
    specification = machine.start(assignment).json()
    sha256 = specification["matrix"]["sha256"]
    is_refused(stranger.download(sha256), 404)
    answer = machine.compute(specification)
    is_refused(stranger.hand_in(assignment, answer), 404)
    failure = {"fence": assignment.fence, "fault": "job", "error": "It does not work."}
    is_refused(post(stranger.http, f"/assignment/{assignment.pk}/failure", failure, headers=stranger.headers), 404)
    assert b"".join(machine.download(sha256))
    is_refused(client.get(f"/dataset/{sha256}"), 401)


def test_a_matrix_comes_whole_or_in_parts(machine: Machine, assignment: Assignment) -> None:
    matrix = machine.start(assignment).json()["matrix"]
    whole = machine.download(matrix["sha256"])
    content = b"".join(whole)
    assert len(content) == matrix["size_bytes"] == int(whole["Content-Length"])
    assert hashlib.sha256(content).hexdigest() == matrix["sha256"]
    assert whole["ETag"] == f'"{matrix["sha256"]}"' and whole["Accept-Ranges"] == "bytes"
    size = len(content)
    for asked, first, last in [("10-19", 10, 19), ("10-", 10, size - 1), ("-5", size - 5, size - 1), ("0-0", 0, 0),
                               (f"10-{size + 99}", 10, size - 1), (f"-{size + 99}", 0, size - 1)]:  # fmt: skip
        part = machine.download(matrix["sha256"], Range=f"bytes={asked}")
        assert (part.status_code, b"".join(part)) == (206, content[first : last + 1]), asked
        assert part["Content-Range"] == f"bytes {first}-{last}/{size}"
        assert int(part["Content-Length"]) == last - first + 1


def test_a_range_beyond_the_end_is_refused_and_a_senseless_one_ignored(
    machine: Machine, assignment: Assignment
) -> None:
    matrix = machine.start(assignment).json()["matrix"]
    size = matrix["size_bytes"]
    for asked in [f"bytes={size}-", "bytes=-0", "bytes=99999999999999999-"]:
        answer = machine.download(matrix["sha256"], Range=asked)
        is_refused(answer, 416)
        assert answer["Content-Range"] == f"bytes */{size}"
    for asked in ["bytes=5-2", "bytes=0-1,4-5", "rows=1-2", "bytes=-", "bytes=x-y", "bytes=" + "9" * 99 + "-"]:
        assert len(b"".join(machine.download(matrix["sha256"], Range=asked))) == size, asked
    known = {"If-None-Match": f'"{matrix["sha256"]}"'}
    assert machine.download(matrix["sha256"], **known).status_code == 304
    stale = {"Range": "bytes=0-3", "If-Range": '"another"'}
    assert len(b"".join(machine.download(matrix["sha256"], **stale))) == size


def test_the_same_answer_again_is_no_harm_and_another_one_is_refused(machine: Machine, assignment: Assignment) -> None:
    answer = machine.compute(machine.start(assignment).json())
    for _ in range(2):
        assert machine.hand_in(assignment, answer).status_code == 200
    is_refused(machine.hand_in(assignment, answer + b"x"), 409)


def test_an_answer_with_a_wrong_digest_or_headers_changes_nothing(machine: Machine, assignment: Assignment) -> None:
    answer = machine.compute(machine.start(assignment).json())
    before = row_counts()
    bad = [
        {DIGEST_HEADER: hashlib.sha256(b"other").hexdigest()},
        {DIGEST_HEADER: ""},
        {DIGEST_HEADER: hashlib.sha256(answer).hexdigest().upper()},
        {FENCE_HEADER: "one"},
        {FENCE_HEADER: "-1"},
        {FENCE_HEADER: "9" * 40},
        {SECONDS_HEADER: "nan"},
        {SECONDS_HEADER: "-1"},
        {SECONDS_HEADER: "inf"},
        {SECONDS_HEADER: ""},
    ]
    for headers in bad:
        is_refused(machine.hand_in(assignment, answer, **headers))
    is_refused(machine.hand_in(assignment, b""))
    json = machine.http.put(f"/assignment/{assignment.pk}/result", b"{}", "application/json", headers=machine.headers)
    is_refused(json, 415)
    is_refused(machine.hand_in(assignment, answer, **{FENCE_HEADER: str(assignment.fence + 1)}), 410)
    assert row_counts() == before
    assert machine.hand_in(assignment, answer).status_code == 200


def test_an_answer_that_is_too_large_for_the_model_is_refused(machine: Machine, assignment: Assignment) -> None:
    machine.start(assignment)
    is_refused(machine.hand_in(assignment, np.zeros(100_000).tobytes()))


def test_a_failure_gives_the_job_back_to_the_queue(client: Client, machine: Machine, assignment: Assignment) -> None:
    machine.start(assignment)
    path = f"/assignment/{assignment.pk}/failure"
    good = {"fence": assignment.fence, "fault": "worker", "error": "The GPU is on fire."}
    for more in [{"fault": "client"}, {"fence": "1"}, {"error": 5}, {"colour": "red"}]:
        is_refused(post(machine.http, path, good | more, headers=machine.headers))
    assert post(machine.http, path, good, headers=machine.headers).json() == {}
    status = client.get(f"/job/{assignment.job_id}/status").json()
    assert (status["status"], status["worker"], status["attempt"]) == ("pending", None, 1)
    is_refused(post(machine.http, path, good, headers=machine.headers), 409)


def test_a_machines_call_makes_no_request_of_rest_frameworks(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def made(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("it costs more than what most of these calls do")

    monkeypatch.setattr("rest_framework.views.Request", made)
    assert machine.heartbeat().status_code == 200
    is_refused(machine.heartbeat(load=2))
    is_refused(machine.start(Assignment()), 404)


def test_what_a_machines_call_does_not_have_is_said_as_everywhere(machine: Machine, client: Client) -> None:
    path = "/worker/heartbeat"
    answer = client.get(path, headers=machine.headers)
    is_refused(answer, 405)
    assert "POST" in answer["Allow"]
    assert client.options(path, headers=machine.headers).status_code == 200
    is_refused(post(client, path, headers=machine.headers | {"Accept": "text/csv"}), 406)
    is_refused(client.post(path, b"x=1", "application/x-www-form-urlencoded", headers=machine.headers), 415)
    for body in (b"[]", b"{", b'{"load": NaN}', b"\xff"):
        is_refused(client.post(path, body, "application/json", headers=machine.headers))
