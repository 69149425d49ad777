"""Datasets and how jobs use them."""

import base64

import numpy as np
import pytest
from django.test import Client

from tests.api.calls import ROWS, npy, npz, post, register_client, submit_job, upload

pytestmark = pytest.mark.django_db


def test_an_uploaded_table_keeps_its_column_names(client: Client) -> None:
    answer = upload(client, b"size,rooms,price\n50,2,100\n80,3,160.5\n", "flats.csv").json()
    assert answer["success"] is True
    assert (answer["rows"], answer["columns"], answer["label"]) == (2, ["size", "rooms", "price"], "flats.csv")
    assert isinstance(answer["dtype"], str)
    detail = client.get(f"/datasets/{answer['dataset_id']}").json()
    assert {"success": True, **detail} == answer


def test_a_table_without_a_header_gets_names(client: Client) -> None:
    answer = upload(client, b"1,2\n3,4\n5,6\n").json()
    assert answer["rows"] == 3
    assert len(answer["columns"]) == 2


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_arrays_are_taken_too(client: Client, name: str) -> None:
    content = npy(np.eye(4)) if name.endswith("npy") else npz(X=np.eye(4), y=np.arange(4.0))
    answer = upload(client, content, name).json()
    assert (answer["rows"], len(answer["columns"])) == (4, 4 if name.endswith("npy") else 5)


def test_the_same_file_again_is_the_same_dataset(client: Client) -> None:
    first, second = upload(client, b"1,2\n3,4\n"), upload(client, b"1,2\n3,4\n", "other.csv")
    assert first.json()["dataset_id"] == second.json()["dataset_id"]
    assert client.get("/datasets").json()["count"] == 1


def test_an_unknown_dataset_answers_404(client: Client) -> None:
    for name in ["0" * 64, "0", "..%2f..%2fetc", "A" * 64]:
        answer = client.get(f"/datasets/{name}")
        assert (answer.status_code, set(answer.json())) == (404, {"error"})


def test_a_job_names_a_dataset_its_target_and_its_columns(client: Client) -> None:
    register_client(client)
    dataset = upload(client, b"name,size,price,age\nann,1,2,5\nbob,2,3.5,1\ncat,3,7,2\n").json()["dataset_id"]
    body = {"data": None, "dataset": dataset, "target": "price", "columns": ["size", 3]}
    job_id = submit_job(client, **body).json()["job_id"]
    assert client.get(f"/job/{job_id}/status").json()["dataset"] == dataset


@pytest.mark.parametrize(
    "data",
    [
        {"data": ROWS},
        {"data": {"X": [row[:2] for row in ROWS], "y": [row[2] for row in ROWS]}},
        {"data": None, "input_data": base64.b64encode(npy(np.array(ROWS))).decode()},
    ],
    ids=["rows", "X and y", "base64 of an .npy"],
)
def test_data_come_inline_in_three_forms(client: Client, data: dict[str, object]) -> None:
    register_client(client)
    job_id = submit_job(client, **data).json()["job_id"]
    dataset = client.get(f"/job/{job_id}/status").json()["dataset"]
    answer = client.get(f"/datasets/{dataset}").json()
    assert (answer["rows"], len(answer["columns"]), answer["sample"]) == (6, 3, False)


def test_a_job_without_data_is_computed_on_a_sample_that_says_so(client: Client) -> None:
    register_client(client)
    job_id = submit_job(client, data=None).json()["job_id"]
    dataset = client.get(f"/job/{job_id}/status").json()["dataset"]
    assert client.get(f"/datasets/{dataset}").json()["sample"] is True


def test_a_quote_holds_nothing(client: Client) -> None:
    register_client(client)
    body = {"client_address": "alice", "model_type": "kmeans_clustering", "data": ROWS, "params": {"k": 2}}
    answer = post(client, "/quote", body).json()
    assert answer["suggested_reward"] > 0 and answer["held"] == answer["suggested_reward"]
    assert answer["estimated_seconds"] > 0
    assert (answer["rows"], answer["features"], answer["workers_able"]) == (6, 3, 0)
    assert post(client, "/quote", body | {"reward": 7}).json()["held"] == 7
    assert client.get("/client/alice/balance").json()["balance"] == 1000
    assert client.get("/jobs").json()["count"] == 0
