"""A contributor's machine, as far as HTTP sees it: enrols, takes an assignment, computes it, hands it in."""

import hashlib
import io
from typing import Any

import numpy as np
from django.test import Client

from marketplace.actions import coordination, settlement
from marketplace.models import Assignment
from tests.api.calls import npz, post
from workers.catalog import MODELS
from workers.catalog.backend import NUMPY
from workers.catalog.base import no_progress
from workers.protocol import DIGEST_HEADER, FENCE_HEADER, PROTOCOL_VERSION, SECONDS_HEADER

ENROLMENT = {
    "protocol": PROTOCOL_VERSION,
    "catalog": {"linear_regression": 1},
    "device": {
        "gpu_type": "RTX 4090",
        "name": "NVIDIA GeForce RTX 4090",
        "memory_bytes": 24 * 1024**3,
        "backend": "numpy",
        "simulated": True,
    },
    "slots": 1,
    "hostname": "gpu-host",
}


class Machine:
    """An enrolled machine; `http` sends with its secret."""

    def __init__(self, enrolment_key: str) -> None:
        self.http = Client()
        reply = post(self.http, "/worker/enrol", ENROLMENT | {"enrolment_key": enrolment_key})
        assert reply.status_code == 200, reply.content
        self.reply: dict[str, Any] = reply.json()
        self.headers = {"Authorization": f"Worker {self.reply['worker']}.{self.reply['secret']}"}

    def heartbeat(self, *beats: dict[str, Any], **more: Any) -> Any:
        body = {"assignments": beats, "load": 0.5, "memory_free_bytes": None, "temperature_celsius": None} | more
        return post(self.http, "/worker/heartbeat", body, headers=self.headers)

    def start(self, assignment: Assignment) -> Any:
        return post(self.http, f"/assignment/{assignment.pk}/start", headers=self.headers)

    def download(self, sha256: str, **headers: str) -> Any:
        return self.http.get(f"/dataset/{sha256}", headers=self.headers | headers)

    def compute(self, specification: dict[str, Any]) -> bytes:
        """The right answer's archive."""
        matrix = np.load(io.BytesIO(b"".join(self.download(specification["matrix"]["sha256"]))), allow_pickle=False)
        target = specification["target"]
        X, y = matrix[:, specification["features"]], None if target is None else matrix[:, target]
        model = MODELS[specification["model"]]
        fit = model.fit(X, y, specification["params"], specification["seed"], backend=NUMPY, progress=no_progress)
        return npz(**fit)

    def hand_in(self, assignment: Assignment, answer: bytes, **more: str) -> Any:
        headers = self.headers | {
            FENCE_HEADER: str(assignment.fence),
            DIGEST_HEADER: hashlib.sha256(answer).hexdigest(),
            SECONDS_HEADER: "0.25",
        }
        path = f"/assignment/{assignment.pk}/result"
        return self.http.put(path, answer, content_type="application/octet-stream", headers=headers | more)

    def do(self, job_id: str) -> None:
        """Take the pending job `job_id` through to its verdict."""
        assignment = assign(job_id)
        specification = self.start(assignment).json()
        response = self.hand_in(assignment, self.compute(specification))
        assert response.status_code == 200, response.content
        assert settlement.verify(assignment_id=str(assignment.pk)) == "accepted"


def assign(job_id: str) -> Assignment:
    coordination.trigger(actor="test")
    return Assignment.objects.get(job_id=job_id)
