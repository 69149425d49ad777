"""The network as any program outside sees it: HTTP, with the calls of the API's documentation."""

from collections.abc import Mapping, Sequence
from typing import Any

import requests


class CallFailed(RuntimeError):
    """The network refused a call that the demo counts on; the message is what it said."""


class Network:
    """Calls against the network at `address`; each answers the decoded JSON.

    Raises:
        CallFailed: from every method, when the answer is not a success.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy of the environment has no business between us and the loopback

    def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        reply = self._session.request(method, self.address + path, timeout=30, **options)
        if not reply.ok:
            raise CallFailed(f"{method} {path} answered {reply.status_code}: {reply.text[:500]}")
        answer: dict[str, Any] = reply.json()
        return answer

    def register_worker(self, worker_id: str, gpu_type: str, compute_capacity: float, stake: float) -> dict[str, Any]:
        body = {
            "worker_id": worker_id,
            "gpu_type": gpu_type,
            "compute_capacity": compute_capacity,
            "stake_amount": stake,
        }
        return self._call("POST", "/worker/register", json=body)

    def register_client(self, address: str, balance: float) -> dict[str, Any]:
        return self._call("POST", "/client/register", json={"client_address": address, "initial_balance": balance})

    def upload(self, name: str, content: bytes) -> dict[str, Any]:
        return self._call("POST", "/datasets", files={"file": (name, content)})

    def submit(self, **job: Any) -> str:
        job_id: str = self._call("POST", "/job/submit", json=job)["job_id"]
        return job_id

    def submit_many(self, jobs: Sequence[Mapping[str, Any]]) -> list[str]:
        job_ids: list[str] = self._call("POST", "/jobs", json={"jobs": jobs})["job_ids"]
        return job_ids

    def job(self, job_id: str) -> dict[str, Any]:
        return self._call("GET", f"/job/{job_id}/status")

    def worker(self, worker_id: str) -> dict[str, Any]:
        return self._call("GET", f"/worker/{worker_id}/status")

    def balance(self, client_address: str) -> float:
        balance: float = self._call("GET", f"/client/{client_address}/balance")["balance"]
        return balance

    def stats(self) -> dict[str, Any]:
        return self._call("GET", "/network/stats")

    def coordination(self, verb: str) -> dict[str, Any]:
        """`verb` is start, stop or trigger."""
        return self._call("POST", f"/network/coordination/{verb}")
