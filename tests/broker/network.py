"""A network whose web process and Celery workers are real; the test itself is the coordinator, cycle by cycle."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import requests

from marketplace.actions import coordination, datasets, settlement, workers
from marketplace.models import Assignment, Job, Result, Worker
from tests import factories as make
from tests.api.server import Server

ROOT = Path(__file__).resolve().parents[2]
QUICK = {
    "POLICY_CHALLENGE_EVERY_SECONDS": "0",
    "POLICY_HEARTBEAT_SECONDS": "0.3",
    "POLICY_LEASE_SECONDS": "2.5",
    "MAX_RESULT_BYTES": "20000000",
}


def wait_until(
    what: Callable[[], Any], seconds: float = 20.0, about: Callable[[], str] = lambda: "", interval: float = 0.02
) -> Any:
    """The first true answer of `what()`."""
    ends_at = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < ends_at, f"not within {seconds} s: {about()}"
        time.sleep(interval)
    return answer


class Machine:
    """One ``celery -A workers worker``, enrolled under `name`, and what it keeps of its enrolment."""

    def __init__(self, home: Path, url: str, key: str, *arguments: str, **environment: str) -> None:
        self.home, self.url = home, url
        self.output = home.with_suffix(".log")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("COMPUTENET_", "CELERY"))}
        for secret in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DJANGO_SETTINGS_MODULE"):
            kept.pop(secret, None)
        kept |= {
            "COMPUTENET_URL": url,
            "COMPUTENET_KEY": key,
            "COMPUTENET_WORKER_HOME": str(home),
            "COMPUTENET_DEVICE": "cpu",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "workers", "worker", "-l", "info", *arguments],
                cwd=ROOT,
                env=kept | environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def ready(self) -> "Machine":
        wait_until(lambda: " ready." in self.log() or self.process.poll() is not None, about=self.log)
        assert self.process.poll() is None, self.log()
        return self

    def log(self) -> str:
        return self.output.read_text(errors="replace")

    @property
    def credentials(self) -> dict[str, Any]:
        kept: dict[str, Any] = json.loads((self.home / "credentials.json").read_text())
        return kept

    @property
    def row(self) -> Worker:
        return Worker.objects.select_related("contributor__wallet", "stake").get(pk=self.credentials["worker"])

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> requests.Response:
        """What the network answers to this machine's secret."""
        kept = self.credentials
        headers = {"Authorization": f"Worker {kept['worker']}.{kept['secret']}", **more.pop("headers", {})}
        if "data" in more:
            headers["Content-Type"] = "application/octet-stream"
        return requests.request(method, self.url + path, json=body, headers=headers, timeout=10, **more)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Network:
    """A real web process over the test's database and Redis."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.server = Server(folder, **QUICK, **environment)
        self.machines: list[Machine] = []
        self.server.wait_until_up()

    def close(self) -> None:
        for machine in self.machines:
            machine.end()
        self.server.stop()

    def start(self, name: str, *arguments: str, **environment: str) -> Machine:
        """Register a worker and start its machine; `ready` is still to be waited for."""
        made = workers.register_worker(name=name, gpu_type="CPU", compute_capacity=1.0, stake_amount=1000, user=None)
        machine = Machine(self.folder / name, self.server.url, made.enrolment_key, *arguments, **environment)
        self.machines.append(machine)
        return machine

    def settle(self) -> None:
        """What the coordinator does every few seconds."""
        coordination.run_cycle()
        for result in Result.objects.filter(checked=False).values_list("pk", flat=True):
            settlement.verify(assignment_id=str(result))

    def until(self, job: Job, state: str, seconds: float = 20.0) -> Job:
        """Coordinate until the job is in this state."""

        def reached() -> bool:
            self.settle()
            job.refresh_from_db()
            return job.state == state

        wait_until(reached, seconds, lambda: f"{job.state} {job.reason}\n" + self.logs(), 0.1)
        return job

    def logs(self) -> str:
        return "\n".join(machine.log()[-3000:] for machine in self.machines)


def small_job(**more: Any) -> Job:
    return make.make_job(**more)


def long_job(data: Path) -> Job:
    """K-means that keeps one core busy for a few seconds."""
    with data.open("wb") as file:
        np.save(file, np.random.default_rng(1).normal(size=(40_000, 16)))
    with data.open("rb") as file:
        dataset = datasets.store_upload(stream=file, filename="long.npy", user=None)
    return make.make_job(
        model_type="kmeans_clustering", dataset=dataset.sha256, params={"k": 24, "n_init": 30, "max_iter": 60}
    )


def assignment_of(job: Job) -> Assignment:
    return Assignment.objects.select_related("worker", "job__dataset").get(job=job, fence=job.attempt)
