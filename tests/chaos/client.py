"""The network's client in these runs: submits jobs over HTTP, each with a key, until each is acknowledged."""

import threading
import time
from collections.abc import Callable

import numpy as np
import requests

from tests.chaos.network import Network

CLIENT = "chaos"
REWARD = 1
KINDS = ({"model_type": "linear_regression"}, {"model_type": "pca_analysis", "params": {"n_components": 2}})
KINDS += ({"model_type": "kmeans_clustering", "params": {"k": 3, "n_init": 2}},)


def table(rows: int, columns: int, seed: int = 0) -> bytes:
    rng = np.random.default_rng(seed)
    lines = [",".join(f"{cell:.6f}" for cell in row) for row in rng.normal(size=(rows, columns))]
    return "\n".join([",".join(f"c{i}" for i in range(columns)), *lines, ""]).encode()


def upload(network: Network, content: bytes) -> str:
    """Bring a data set; answers its id."""
    files = {"file": ("chaos.csv", content)}
    reply = requests.post(f"{network.address}/datasets", files=files, timeout=60)
    reply.raise_for_status()
    return str(reply.json()["dataset_id"])


def insist(network: Network, key: str, body: dict, stopped: Callable[[], bool] = lambda: False) -> str:
    """Submit a job with this key until it is acknowledged; answers its id, "" where `stopped` came first."""
    while not stopped():
        try:
            made = network.call("POST", "/job/submit", body, headers={"Idempotency-Key": key})
            return str(made["job_id"])
        except requests.RequestException as problem:
            if problem.response is not None and problem.response.status_code < 500:
                raise
            time.sleep(0.2)
    return ""


def a_job(dataset: str, number: int) -> dict:
    return {"client_address": CLIENT, "reward": REWARD, "dataset": dataset, **KINDS[number % len(KINDS)]}


def a_long_job(dataset: str, seconds: float) -> dict:
    """K-means that keeps one core busy for about `seconds`, at most 5, on 4,000 rows: all starts see all."""
    params = {"k": 256, "n_init": max(1, round(18 * seconds)), "max_iter": 60, "tol": 0.0}
    return {
        "client_address": CLIENT, "reward": REWARD, "dataset": dataset, "model_type": "kmeans_clustering",
        "params": params,
    }  # fmt: skip


class Submitter(threading.Thread):
    """Keeps `backlog` jobs open until `jobs` are submitted. `acknowledged` are their ids, by number."""

    def __init__(self, network: Network, dataset: str, jobs: int, seed: int, backlog: int = 40) -> None:
        super().__init__(name="submitter", daemon=True)
        self.network, self.dataset, self.jobs, self.seed, self.backlog = network, dataset, jobs, seed, backlog
        self.acknowledged: list[str] = []
        self.ended = 0  # told by whoever looks
        self.problem = ""
        self._ending = threading.Event()

    def run(self) -> None:
        try:
            for number in range(self.jobs):
                while len(self.acknowledged) - self.ended >= self.backlog and not self._ending.is_set():
                    time.sleep(0.05)
                body = a_job(self.dataset, number)
                job = insist(self.network, f"{self.seed}-{number}", body, self._ending.is_set)
                if not job:
                    return
                self.acknowledged.append(job)
        except Exception as problem:
            self.problem = repr(problem)

    def close(self) -> None:
        self._ending.set()
        self.join(timeout=15)
