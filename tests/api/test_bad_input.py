"""Bad input: 400, one clear sentence, and no row of any table changed."""

import base64
import io
import json
import pickle
from typing import Any

import numpy as np
import pytest
from django.test import Client

from tests.api.calls import ROWS, WORKER, is_refused, npy, npz, post, register_client, row_counts, submit_job, upload

pytestmark = pytest.mark.django_db


def without(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}


BAD_WORKERS = {
    "negative stake": WORKER | {"stake_amount": -150},
    "zero stake": WORKER | {"stake_amount": 0},
    "stake below the least": WORKER | {"stake_amount": 99.999999},
    "stake missing": without(WORKER, "stake_amount"),
    "stake null": WORKER | {"stake_amount": None},
    "stake as text": WORKER | {"stake_amount": "150"},
    "stake true": WORKER | {"stake_amount": True},
    "stake too large": WORKER | {"stake_amount": 10**10},
    "stake too fine": WORKER | {"stake_amount": 150.0000001},
    "stake of 300 digits": WORKER | {"stake_amount": 10**299},
    "stake a list": WORKER | {"stake_amount": [150]},
    "capacity as text": WORKER | {"compute_capacity": "82.6"},
    "capacity negative": WORKER | {"compute_capacity": -1},
    "capacity zero": WORKER | {"compute_capacity": 0},
    "capacity true": WORKER | {"compute_capacity": True},
    "name a number": WORKER | {"worker_id": 5},
    "name empty": WORKER | {"worker_id": ""},
    "name a path": WORKER | {"worker_id": "../../etc/passwd"},
    "name a glob": WORKER | {"worker_id": "*"},
    "name too long": WORKER | {"worker_id": "w" * 65},
    "name with a line end": WORKER | {"worker_id": "a\n"},
    "name with NUL": WORKER | {"worker_id": "a\0b"},
    "GPU missing": without(WORKER, "gpu_type"),
    "GPU an object": WORKER | {"gpu_type": {"a": 1}},
    "unknown field": WORKER | {"reputation": 100},
}


@pytest.mark.parametrize("name", BAD_WORKERS)
def test_a_bad_worker_registration_is_refused_and_changes_nothing(client: Client, name: str) -> None:
    before = row_counts()
    is_refused(post(client, "/worker/register", BAD_WORKERS[name]))
    assert row_counts() == before


ALICE = '"client_address": "alice"'
BAD_TEXTS = {
    "NaN": f'{{{ALICE}, "initial_balance": NaN}}',
    "Infinity": f'{{{ALICE}, "initial_balance": Infinity}}',
    "minus Infinity": f'{{{ALICE}, "initial_balance": -Infinity}}',
    "1e999": f'{{{ALICE}, "initial_balance": 1e999}}',
    "an integer of 5000 digits": f'{{{ALICE}, "initial_balance": {"9" * 5000}}}',
    "a key twice": f"{{{ALICE}, {ALICE}}}",
    "deep nesting": f'{{{ALICE}, "initial_balance": {"[" * 5000}{"]" * 5000}}}',
    "nesting of 100": f'{{{ALICE}, "initial_balance": {"[" * 100}{"]" * 100}}}',
    "half a surrogate pair": '{"client_address": "\\ud800"}',
    "NUL": '{"client_address": "a\\u0000b"}',
    "half a surrogate pair as a field's name": f'{{{ALICE}, "\\ud800": 1}}',
    "broken JSON": '{"client_address": ',
    "a list": "[1, 2]",
    "a text": '"alice"',
    "null": "null",
    "nothing": "",
    "not UTF-8": b'{"client_address": "\xff\xfe"}',
    "UTF-16": json.dumps({"client_address": "alice"}).encode("utf-16"),
    "a pickle": pickle.dumps({"client_address": "alice"}),
}


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_what_is_not_proper_json_is_refused_and_changes_nothing(client: Client, name: str) -> None:
    before = row_counts()
    is_refused(post(client, "/client/register", BAD_TEXTS[name]))
    assert row_counts() == before


def test_an_unknown_field_is_refused_by_its_name(client: Client) -> None:
    sentence = is_refused(register_client(client, colour="red"))
    assert "colour" in sentence and "initial_balance" in sentence


def test_a_taken_name_is_refused(client: Client) -> None:
    register_client(client)
    before = row_counts()
    assert "alice" in is_refused(register_client(client))
    is_refused(post(client, "/worker/register", WORKER | {"worker_id": "alice"}))
    assert row_counts() == before


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("a pickle was run",))


def lying_npy(shape: tuple[int, ...], data: bytes = b"\0" * 64) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return file.getvalue() + data


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


OBJECTS = np.array([Evil(), Evil()], dtype=object)
BAD_JOBS: dict[str, dict[str, Any]] = {
    "reward negative": {"reward": -1},
    "reward zero": {"reward": 0},
    "reward missing": {"reward": None},
    "reward as text": {"reward": "50"},
    "reward true": {"reward": True},
    "reward too fine": {"reward": 0.0000001},
    "reward above the balance": {"reward": 1001},
    "unknown model": {"model_type": "deep_thought"},
    "model a number": {"model_type": 5},
    "unknown field": {"colour": "red"},
    "unknown parameter": {"model_type": "kmeans_clustering", "params": {"colour": 3}},
    "parameter as text": {"model_type": "kmeans_clustering", "params": {"k": "3"}},
    "parameter true": {"model_type": "kmeans_clustering", "params": {"k": True}},
    "parameter a list": {"model_type": "kmeans_clustering", "params": {"k": [3]}},
    "parameters a list": {"params": [3]},
    "k zero": {"model_type": "kmeans_clustering", "params": {"k": 0}},
    "k a fraction": {"model_type": "kmeans_clustering", "params": {"k": 2.5}},
    "k above n": {"model_type": "kmeans_clustering", "params": {"k": 7}},
    "k huge": {"model_type": "kmeans_clustering", "params": {"k": 10**299}},
    "more components than columns": {"model_type": "pca_analysis", "params": {"n_components": 4}},
    "too few rows": {"data": [[1.0, 2.0]]},
    "rows of unequal length": {"data": [[1, 2], [3]]},
    "rows of text": {"data": [["a", "b"], ["c", "d"], ["e", "f"]]},
    "rows of true": {"data": [[True, False], [False, True], [True, True]]},
    "rows of null": {"data": [[None, 1], [2, 3], [4, 5]]},
    "no rows": {"data": []},
    "data a number": {"data": 5},
    "data a text": {"data": "1,2"},
    "data of too many dimensions": {"data": [[[1, 2]], [[3, 4]]]},
    "data deeply nested": {"data": [[[[[[[[1]]]]]]]]},
    "data of numbers past a float": {"data": [[10**299 * 10, 1], [2, 3], [4, 5]]},
    "unknown part of data": {"data": {"X": [[1], [2], [3]], "z": [1, 2, 3]}},
    "y of another length": {"data": {"X": [[1], [2], [3]], "y": [1, 2]}},
    "two data": {"data": ROWS, "input_data": b64(npy(np.eye(3)))},
    "input_data no base64": {"data": None, "input_data": "%%%"},
    "input_data a pickle": {"data": None, "input_data": b64(pickle.dumps(Evil()))},
    "input_data an object array": {"data": None, "input_data": b64(npy(OBJECTS, allow_pickle=True))},
    "input_data lies": {"data": None, "input_data": b64(lying_npy((10**6, 10**6)))},
    "input_data overflows": {"data": None, "input_data": b64(lying_npy((2**62, 2**62)))},
    "input_data negative": {"data": None, "input_data": b64(lying_npy((-1, 8)))},
    "input_data of NaN": {"data": None, "input_data": b64(npy(np.full((4, 3), np.nan)))},
    "input_data of Infinity": {"data": None, "input_data": b64(npy(np.full((4, 3), np.inf)))},
    "input_data of text": {"data": None, "input_data": b64(npy(np.array([["a", "b"], ["c", "d"]])))},
    "input_data empty": {"data": None, "input_data": b64(npy(np.zeros((0, 3))))},
    "dataset and data": {"dataset": "0" * 64},
    "unknown target": {"target": "price"},
    "target past the last": {"target": 3},
    "target negative": {"target": -1},
    "target true": {"target": True},
    "target a fraction": {"target": 1.5},
    "target of a model without one": {"model_type": "pca_analysis", "target": 0},
    "target among the columns": {"target": 0, "columns": [0, 1]},
    "a column twice": {"columns": [0, 0]},
    "no columns": {"columns": []},
    "column unknown": {"columns": ["price"]},
    "columns a text": {"columns": "abc"},
    "requirement unknown": {"requirements": {"colour": "red"}},
    "requirement as text": {"requirements": {"min_memory_bytes": "5"}},
    "requirement negative": {"requirements": {"min_compute_capacity": -1}},
    "requirement huge": {"requirements": {"min_memory_bytes": 10**299}},
    "deadline zero": {"deadline_seconds": 0},
    "deadline negative": {"deadline_seconds": -1},
    "deadline as text": {"deadline_seconds": "60"},
    "deadline in a thousand years": {"deadline_seconds": 3.2e10},
}


@pytest.mark.parametrize("name", BAD_JOBS)
def test_a_bad_job_is_refused_and_changes_nothing(client: Client, name: str) -> None:
    register_client(client)
    before = row_counts()
    is_refused(submit_job(client, **BAD_JOBS[name]))
    assert row_counts() == before
    assert client.get("/client/alice/balance").json()["balance"] == 1000


@pytest.mark.parametrize("dataset", ["0" * 64, "../../etc/passwd"])
def test_a_job_on_a_dataset_that_is_not_there_changes_nothing(client: Client, dataset: str) -> None:
    register_client(client)
    before = row_counts()
    is_refused(submit_job(client, data=None, dataset=dataset), 404)
    assert row_counts() == before


def test_a_job_of_a_client_that_is_not_there_changes_nothing(client: Client) -> None:
    before = row_counts()
    assert "alice" in is_refused(submit_job(client), 404)
    assert row_counts() == before


def test_a_text_column_is_refused_by_name(client: Client) -> None:
    register_client(client)
    dataset = upload(client, b"name,size,price\nann,1,2\nbob,2,3.5\ncat,3,7\n").json()
    assert dataset["text_columns"] == ["name"]
    before = row_counts()
    of_dataset = {"data": None, "dataset": dataset["dataset_id"]}
    for more in [{"target": "name"}, {"target": 0}, {"columns": ["name", "size"]}, {}]:
        assert "name" in is_refused(submit_job(client, **of_dataset, **more))
    assert row_counts() == before


BAD_FILES = {
    "an empty file": (b"", "a.csv"),
    "another kind of file": (b"1,2\n3,4\n", "a.xlsx"),
    "no kind of file": (b"1,2\n3,4\n", "a"),
    "a lying header": (lying_npy((10**6, 10**6)), "a.npy"),
    "an overflowing header": (lying_npy((2**62, 4)), "a.npy"),
    "a truncated array": (npy(np.eye(8))[:-8], "a.npy"),
    "an object array": (npy(OBJECTS, allow_pickle=True), "a.npy"),
    "a pickle named npy": (pickle.dumps(Evil()), "a.npy"),
    "a pickle named csv": (pickle.dumps(Evil()), "a.csv"),
    "complex numbers": (npy(np.eye(3) * 1j), "a.npy"),
    "three dimensions": (npy(np.zeros((2, 2, 2))), "a.npy"),
    "a broken archive": (npz(X=np.eye(3))[:-30], "a.npz"),
    "an archive of objects": (npz(X=OBJECTS), "a.npz"),
    "an archive of other names": (npz(a=np.eye(3), b=np.eye(3)), "a.npz"),
    "rows of unequal length": (b"a,b\n1,2\n3\n", "a.csv"),
    "a header and nothing else": (b"a,b\n", "a.csv"),
    "bytes that are no text": (bytes(range(256)) * 4, "a.csv"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_and_changes_nothing(client: Client, name: str, capsys: Any) -> None:
    before = row_counts()
    is_refused(upload(client, *BAD_FILES[name]))
    assert row_counts() == before
    assert "a pickle was run" not in capsys.readouterr().out


def test_an_upload_without_a_file_or_with_more_fields_is_refused(client: Client) -> None:
    before = row_counts()
    assert "file" in is_refused(client.post("/datasets", {"other": "1"}))
    assert "label" in is_refused(upload(client, b"1,2\n3,4\n", label="mine"))
    assert "file" in is_refused(client.post("/datasets", {"file": "1,2"}))
    assert row_counts() == before


BAD_PAGES = ["limit=0", "limit=1001", "limit=ten", "limit=-1", "limit=1e3", "offset=-1", "offset=" + "9" * 40]


@pytest.mark.parametrize("query", BAD_PAGES)
def test_a_bad_limit_or_offset_is_refused(client: Client, query: str) -> None:
    for path in ["/jobs", "/workers", "/clients", "/jobs/pending", "/datasets"]:
        assert query.split("=")[0] in is_refused(client.get(f"{path}?{query}"))


def test_an_unknown_status_is_refused(client: Client) -> None:
    assert "pending" in is_refused(client.get("/jobs?status=bogus"))
    assert is_refused(client.get("/jobs?client=%00"))


def test_a_bad_idempotency_key_is_refused(client: Client) -> None:
    register_client(client)
    before = row_counts()
    body = {"client_address": "alice", "model_type": "linear_regression", "reward": 50, "data": ROWS}
    for key in ["", "k" * 101, "a\tb"]:
        is_refused(post(client, "/job/submit", body, headers={"Idempotency-Key": key}))
    assert row_counts() == before
