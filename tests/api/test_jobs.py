"""A job's result, its cancelling, and requests that come twice."""

import io
from typing import Any

import numpy as np
import pytest
from django.test import Client

from marketplace.models import Job
from tests.api.calls import ROWS, is_refused, post, register_client, register_worker, submit_job
from tests.api.machine import Machine, assign

pytestmark = pytest.mark.django_db


def verified(client: Client, **more: Any) -> str:
    register_client(client)
    machine = Machine(register_worker(client).json()["enrolment_key"])
    job_id = submit_job(client, **more).json()["job_id"]
    machine.do(job_id)
    return job_id


def test_a_result_is_the_least_squares_solution_of_the_clients_own_data(client: Client) -> None:
    result = client.get(f"/job/{verified(client)}/result").json()
    table = np.array(ROWS)
    exact, *_ = np.linalg.lstsq(np.c_[table[:, :2], np.ones(6)], table[:, 2], rcond=None)
    np.testing.assert_allclose([*result["coefficients"], result["intercept"]], exact, rtol=1e-6)
    np.testing.assert_allclose(result["predictions"], np.c_[table[:, :2], np.ones(6)] @ exact, rtol=1e-6)


def test_a_result_comes_as_an_archive_of_the_same_numbers(client: Client) -> None:
    job_id = verified(client)
    answer = client.get(f"/job/{job_id}/result?format=npz")
    assert answer.status_code == 200
    assert answer["Content-Disposition"] == f'attachment; filename="{job_id}.npz"'
    content = b"".join(answer)
    assert int(answer["Content-Length"]) == len(content)
    arrays = np.load(io.BytesIO(content), allow_pickle=False)
    result = client.get(f"/job/{job_id}/result").json()
    np.testing.assert_array_equal(arrays["predictions"], result["predictions"])
    part = client.get(f"/job/{job_id}/result?format=npz", headers={"Range": "bytes=4-9"})
    assert (part.status_code, b"".join(part)) == (206, content[4:10])
    again = client.get(f"/job/{job_id}/result?format=npz", headers={"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_large_arrays_are_left_out_of_the_status_and_named(client: Client) -> None:
    rows = np.random.default_rng(1).normal(size=(10_001, 2)).round(3).tolist()
    job_id = verified(client, data=rows)
    status = client.get(f"/job/{job_id}/status").json()["result"]
    assert status["omitted"] == ["predictions"]
    assert "predictions" not in status and len(status["coefficients"]) == 1
    whole = client.get(f"/job/{job_id}/result").json()
    assert len(whole["predictions"]) == 10_001 and "omitted" not in whole


def test_a_job_without_a_result_says_so(client: Client) -> None:
    register_client(client)
    job_id = submit_job(client).json()["job_id"]
    for query in ["", "?format=npz"]:
        answer = client.get(f"/job/{job_id}/result{query}")
        assert "pending" in is_refused(answer, 404)
        assert answer["Content-Type"] == "application/json"


def test_a_cancelled_job_gives_the_reward_back(client: Client) -> None:
    register_client(client)
    job_id = submit_job(client).json()["job_id"]
    assert post(client, f"/job/{job_id}/cancel").json() == {"success": True, "job_id": job_id, "status": "cancelled"}
    assert client.get("/client/alice/balance").json()["balance"] == 1000
    assert client.get(f"/job/{job_id}/status").json()["completion_time"] is not None
    assert "cancelled" in is_refused(post(client, f"/job/{job_id}/cancel"), 409)


def test_cancelling_a_job_that_is_not_there_answers_404(client: Client) -> None:
    is_refused(post(client, "/job/00000000-0000-4000-8000-000000000000/cancel"), 404)


def test_the_same_request_again_gets_the_same_answer_and_makes_one_job(client: Client) -> None:
    register_client(client)
    body = {"client_address": "alice", "model_type": "linear_regression", "reward": 50, "data": ROWS}
    key = {"Idempotency-Key": "6f1c"}
    first = post(client, "/job/submit", body, headers=key)
    Machine(register_worker(client).json()["enrolment_key"])
    assign(first.json()["job_id"])
    second = post(client, "/job/submit", dict(reversed(body.items())), headers=key)
    assert (second.status_code, second.json()) == (200, first.json())
    assert Job.objects.count() == 1
    assert client.get("/client/alice/balance").json()["balance"] == 950


def test_the_same_key_with_another_body_is_refused(client: Client) -> None:
    register_client(client)
    body = {"client_address": "alice", "model_type": "linear_regression", "reward": 50, "data": ROWS}
    post(client, "/job/submit", body, headers={"Idempotency-Key": "k"})
    is_refused(post(client, "/job/submit", body | {"reward": 51}, headers={"Idempotency-Key": "k"}), 422)
    assert Job.objects.count() == 1


def test_another_client_may_use_the_same_key(client: Client) -> None:
    for name in ["alice", "bob"]:
        register_client(client, name)
        body = {"client_address": name, "model_type": "linear_regression", "reward": 50, "data": ROWS}
        assert post(client, "/job/submit", body, headers={"Idempotency-Key": "k"}).status_code == 200
    assert Job.objects.count() == 2


def test_a_fit_without_standard_errors_can_be_read(client: Client) -> None:
    """As many rows as coefficients leave no degree of freedom."""
    job_id = verified(client, data={"X": [[1.0], [2.0]], "y": [2.0, 5.0]})
    for read in (client.get(f"/job/{job_id}/status").json()["result"], client.get(f"/job/{job_id}/result").json()):
        assert read["standard_errors"] == [None]
        np.testing.assert_allclose(read["coefficients"], [3.0])
