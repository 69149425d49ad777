"""The seed's wire contract: the same paths, names and JSON types, for users whose scripts speak it."""

from typing import Any

import pytest
from django.test import Client

from tests.api.calls import post, register_client, register_worker, submit_job
from tests.api.machine import Machine

pytestmark = pytest.mark.django_db

NUMBER, TEXT, NULL = (int, float), (str,), (type(None),)
Types = dict[str, tuple[type, ...]]


def holds(answer: dict[str, Any], types: Types) -> None:
    """All of `types` are in `answer`, a true or false only where one is wanted."""
    for name, allowed in types.items():
        assert name in answer, f"{name} is missing in {sorted(answer)}"
        assert isinstance(answer[name], allowed), (name, answer[name])
        assert isinstance(answer[name], bool) == (allowed == (bool,)), (name, answer[name])


def test_registering_a_worker_answers_what_is_left_beside_the_stake(client: Client) -> None:
    answer = register_worker(client)
    assert answer.status_code == 200
    holds(answer.json(), {"success": (bool,), "worker_id": TEXT, "balance": NUMBER, "enrolment_key": TEXT})
    assert answer.json() | {"enrolment_key": ""} == {
        "success": True,
        "worker_id": "rtx_01",
        "balance": 100,
        "enrolment_key": "",
    }


def test_a_workers_status_has_the_seeds_fields(client: Client) -> None:
    register_worker(client)
    answer = client.get("/worker/rtx_01/status").json()
    holds(
        answer,
        {
            "worker_id": TEXT,
            "gpu_type": TEXT,
            "compute_capacity": NUMBER,
            "reputation": NUMBER,
            "jobs_completed": (int,),
            "stake": NUMBER,
            "is_active": (bool,),
            "current_job": NULL,
            "balance": NUMBER,
        },
    )
    assert (answer["stake"], answer["balance"], answer["reputation"]) == (150, 100, 100)


def test_the_workers_are_listed_with_their_count(client: Client) -> None:
    register_worker(client)
    answer = client.get("/workers").json()
    assert answer["count"] == 1
    fields = {"worker_id": TEXT, "gpu_type": TEXT, "reputation": NUMBER, "jobs_completed": (int,), "is_active": (bool,)}
    holds(answer["workers"][0], fields)


def test_a_client_starts_with_a_thousand_tokens_where_it_names_no_balance(client: Client) -> None:
    assert register_client(client).json() == {"success": True, "client_address": "alice", "balance": 1000}
    assert client.get("/client/alice/balance").json() == {"client_address": "alice", "balance": 1000}


def test_a_client_gets_the_balance_that_it_names_to_the_sixth_decimal(client: Client) -> None:
    assert register_client(client, initial_balance=12.345678).json()["balance"] == 12.345678
    assert register_client(client, "bob", initial_balance=0).json()["balance"] == 0


def test_the_clients_are_listed_without_the_workers(client: Client) -> None:
    register_worker(client)
    register_client(client)
    assert client.get("/clients").json() == {"clients": [{"client_address": "alice", "balance": 1000}], "count": 1}


def test_a_submitted_job_is_pending_and_its_reward_is_held(client: Client) -> None:
    register_client(client)
    answer = post(client, "/job/submit", {"client_address": "alice", "model_type": "linear_regression", "reward": 50})
    assert answer.status_code == 200
    holds(answer.json(), {"success": (bool,), "job_id": TEXT, "status": TEXT})
    assert (answer.json()["success"], answer.json()["status"]) == (True, "pending")
    assert client.get("/client/alice/balance").json()["balance"] == 950


def test_a_pending_jobs_status_has_the_seeds_fields_and_no_result(client: Client) -> None:
    register_client(client)
    job_id = submit_job(client).json()["job_id"]
    answer = client.get(f"/job/{job_id}/status").json()
    holds(
        answer,
        {
            "job_id": TEXT,
            "client": TEXT,
            "model_type": TEXT,
            "status": TEXT,
            "reward": NUMBER,
            "worker": NULL,
            "submitted_at": NUMBER,
            "completion_time": NULL,
        },
    )
    assert (answer["job_id"], answer["client"], answer["reward"]) == (job_id, "alice", 50)
    assert "result" not in answer


RESULTS = {
    "linear_regression": {"coefficients": (list,), "intercept": NUMBER, "mse": NUMBER, "predictions": (list,)},
    "kmeans_clustering": {"k": (int,), "centroids": (list,), "labels": (list,), "inertia": NUMBER},
    "pca_analysis": {
        "n_components": (int,),
        "components": (list,),
        "explained_variance": (list,),
        "transformed_data": (list,),
    },
}
RESULT_NAMES = {"linear_regression": "linear_regression", "kmeans_clustering": "kmeans", "pca_analysis": "pca"}


@pytest.mark.parametrize("model_type", RESULTS)
def test_a_verified_jobs_status_carries_the_seeds_result_and_its_worker(client: Client, model_type: str) -> None:
    register_client(client)
    machine = Machine(register_worker(client).json()["enrolment_key"])
    job_id = submit_job(client, model_type=model_type).json()["job_id"]
    machine.do(job_id)
    answer = client.get(f"/job/{job_id}/status").json()
    holds(answer, {"worker": TEXT, "completion_time": NUMBER, "submitted_at": NUMBER, "result": (dict,)})
    assert (answer["status"], answer["worker"]) == ("verified", "rtx_01")
    assert answer["completion_time"] >= answer["submitted_at"]
    result = answer["result"]
    holds(result, RESULTS[model_type] | {"model": TEXT, "worker_id": TEXT, "gpu_type": TEXT})
    said = (result["model"], result["worker_id"], result["gpu_type"])
    assert said == (RESULT_NAMES[model_type], "rtx_01", "RTX 4090")
    assert answer["verdict"]["outcome"] == "accepted"
    status = client.get("/worker/rtx_01/status").json()
    assert (status["balance"], status["jobs_completed"], status["current_job"]) == (150, 1, None)


def test_a_worker_at_a_job_names_it_as_current(client: Client) -> None:
    register_client(client)
    Machine(register_worker(client).json()["enrolment_key"])
    job_id = submit_job(client).json()["job_id"]
    post(client, "/network/coordination/trigger")
    assert client.get("/worker/rtx_01/status").json()["current_job"] == job_id
    assert client.get(f"/job/{job_id}/status").json()["status"] == "assigned"


def test_the_jobs_are_listed_with_their_count(client: Client) -> None:
    register_client(client)
    job_id = submit_job(client).json()["job_id"]
    answer = client.get("/jobs").json()
    assert answer["count"] == 1
    fields = {"job_id": TEXT, "client": TEXT, "model_type": TEXT, "status": TEXT, "reward": NUMBER, "worker": NULL}
    holds(answer["jobs"][0], fields)
    assert answer["jobs"][0]["job_id"] == job_id


def test_the_pending_jobs_are_listed_with_their_timestamp(client: Client) -> None:
    register_client(client)
    submit_job(client)
    answer = client.get("/jobs/pending").json()
    assert answer["count"] == 1
    holds(answer["jobs"][0], {"job_id": TEXT, "model_type": TEXT, "reward": NUMBER, "timestamp": NUMBER})


def test_the_networks_figures_have_the_seeds_names(client: Client) -> None:
    register_client(client)
    register_worker(client)
    submit_job(client)
    answer = client.get("/network/stats").json()
    state, performance = answer["contract_state"], answer["performance"]
    counts = ["total_jobs", "pending_jobs", "total_workers", "active_workers"]
    holds(state, dict.fromkeys(counts, (int,)) | {"contract_balance": NUMBER})
    counts = ["total_jobs", "completed_jobs", "failed_jobs"]
    holds(performance, dict.fromkeys(counts, (int,)) | {"average_completion_time": NUMBER, "success_rate": NUMBER})
    assert (state["total_jobs"], state["pending_jobs"], state["total_workers"], state["active_workers"]) == (1, 1, 1, 1)


def test_coordination_starts_stops_and_is_triggered(client: Client) -> None:
    for verb, active in [("stop", False), ("start", True)]:
        answer = post(client, f"/network/coordination/{verb}")
        assert answer.status_code == 200
        holds(answer.json(), {"success": (bool,), "message": TEXT})
        assert client.get("/health").json()["coordination_active"] is active
    answer = client.generic("POST", "/network/coordination/trigger").json()  # no body, as `curl -X POST`
    holds(answer, {"success": (bool,), "message": TEXT})
    assert answer["success"] is True


def test_health_has_the_seeds_fields(client: Client) -> None:
    answer = client.get("/health").json()
    holds(answer, {"status": TEXT, "coordination_active": (bool,), "workers": (int,), "jobs": (int,)})
    assert answer["status"] == "healthy"


def test_the_front_door_tells_a_program_what_there_is(client: Client) -> None:
    for accept in ["*/*", "application/json"]:
        answer = client.get("/", headers={"Accept": accept})
        assert answer["Content-Type"] == "application/json"
        holds(answer.json(), {"name": TEXT, "version": TEXT, "endpoints": (dict,)})
        assert {"worker", "client", "jobs", "network"} <= set(answer.json()["endpoints"])
    assert client.get("/").json() == answer.json()


def test_what_is_not_there_answers_404_with_an_error(client: Client) -> None:
    nobody = "00000000-0000-4000-8000-000000000000"
    jobs = [f"/job/{nobody}/status", f"/job/{nobody}/result", "/job/5/status"]
    for path in ["/worker/nobody/status", "/client/nobody/balance", *jobs, "/nowhere"]:
        answer = client.get(path)
        assert answer.status_code == 404, path
        assert set(answer.json()) == {"error"}, path
