"""Calling the API as programs do, and saying what the tables held."""

import io
import json
from typing import Any

import numpy as np
from django.apps import apps
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

ROWS = [[1.0, 2.0, 3.1], [2.0, 1.0, 4.9], [3.0, 5.0, 11.2], [4.0, 3.0, 10.8], [5.0, 9.0, 19.1], [6.0, 2.0, 14.0]]
WORKER = {"worker_id": "rtx_01", "gpu_type": "RTX 4090", "compute_capacity": 82.6, "stake_amount": 150}


def post(http: Client, path: str, body: Any = None, **headers: Any) -> Any:
    """POST `body` (bytes as they are, anything else as JSON)."""
    content = body if isinstance(body, (bytes, str)) else json.dumps({} if body is None else body)
    return http.post(path, content, content_type="application/json", **headers)


def register_client(http: Client, address: str = "alice", **more: Any) -> Any:
    return post(http, "/client/register", {"client_address": address, **more})


def register_worker(http: Client, **more: Any) -> Any:
    return post(http, "/worker/register", WORKER | more)


def submit_job(http: Client, **more: Any) -> Any:
    body = {"client_address": "alice", "model_type": "linear_regression", "reward": 50, "data": ROWS} | more
    return post(http, "/job/submit", body)


def upload(http: Client, content: bytes, name: str = "table.csv", **more: Any) -> Any:
    return http.post("/datasets", {"file": SimpleUploadedFile(name, content), **more})


def npy(array: Any, **how: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **how)
    return file.getvalue()


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def row_counts() -> dict[str, int]:
    """How many rows each of the marketplace's tables has."""
    return {model.__name__: model.objects.count() for model in apps.get_app_config("marketplace").get_models()}


def is_refused(response: Any, status: int = 400) -> str:
    """Hold a refusal against its shape, and answer its sentence."""
    answer = response.json()
    assert response.status_code == status, (response.status_code, answer)
    assert set(answer) == ({"error"} if status == 404 else {"success", "error"}), answer
    assert answer.get("success", False) is False
    sentence = answer["error"]
    assert sentence.endswith((".", "…")) and len(sentence) > 10 and "\n" not in sentence, sentence
    assert "Traceback" not in sentence and "object at 0x" not in sentence, sentence
    return sentence
