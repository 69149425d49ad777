"""How many small jobs a second the whole network carries, from their submission over HTTP to their payment.

    python -m benchmarks.throughput [--jobs 600] [--workers 8] [--json]

Set beside bare Celery's rate of tasks that do nothing, over the same Redis on the same machine. PostgreSQL, Redis, web,
coordinator and GPU host are real processes on the loopback; where the time goes is told as each one's CPU time a job.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg

from computenet.sandbox.demo.network import Network
from computenet.sandbox.embedded_redis import free_port
from computenet.sandbox.home import Home
from computenet.sandbox.stack import ROOT, Stack
from tests.postgres import Server

PATIENCE_SECONDS = 60.0
CALLERS = 8  # submit at the same time, each over a connection of its own
TICK_HZ = os.sysconf("SC_CLK_TCK")
ROWS = [[float(i), float(i * i % 7), float(3 * i % 5)] for i in range(24)]


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and of all below it, those that have ended included."""
    parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = sum(int(ticks) for ticks in parts[11:15]) / TICK_HZ
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(cpu_seconds(int(child)) for child in children)


def until(reached: Callable[[], bool]) -> None:
    """
    Raises:
        TimeoutError
    """
    ends_at = time.monotonic() + PATIENCE_SECONDS
    while not reached():
        if time.monotonic() > ends_at:
            raise TimeoutError(f"not within {PATIENCE_SECONDS:.0f} s")
        time.sleep(0.02)


def bare_celery(url: str, folder: Path, count: int) -> float:
    """Tasks a second, sent and done, of one Celery worker whose task does nothing."""
    mark = folder / "done"
    environment = os.environ | {"BARE_CELERY_BROKER": url, "BARE_CELERY_DONE": str(mark)}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    quiet = {"cwd": ROOT, "env": environment, "stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    command = [sys.executable, "-m", "celery", "-A", "benchmarks.bare_celery", "worker", "-P", "threads", "-c", "1"]
    with (folder / "bare.log").open("wb") as log:
        worker = subprocess.Popen(
            [*command, "--without-gossip", "--without-mingle", "--without-heartbeat"], stderr=log, **quiet
        )

        def seconds(tasks: int) -> float:
            began = time.monotonic()
            subprocess.run(
                [sys.executable, "-m", "benchmarks.bare_celery", str(tasks)], check=True, stderr=log, **quiet
            )
            until(mark.exists)
            mark.unlink()
            return time.monotonic() - began

        try:
            seconds(1)  # it is up
            idle = seconds(1)  # what starting the sender takes
            return count / (seconds(count) - idle)
        finally:
            worker.terminate()
            worker.wait()


class Measured:
    """The network under load, with the CPU time of each of its processes."""

    def __init__(self, folder: Path, database_url: str, workers: int) -> None:
        os.environ["DATABASE_URL"] = database_url
        self.database_url = database_url
        self.stack = Stack(Home(folder / "home"), free_port(), lambda process, line: None)
        self.workers = workers
        self.network = Network(self.stack.address)

    def start(self) -> None:
        prepared = self.stack.start(with_host_key=True)
        self.stack.wait_for(self.stack.start_host("local", prepared.host_key, slots=self.workers))
        for i in range(self.workers):
            self.network.register_worker(f"worker-{i}", "RTX 4090", 82.6, 1000)
        self.network.register_client("bench", 1_000_000)

    def verified(self) -> int:
        with psycopg.connect(self.database_url) as connection:
            row = connection.execute("SELECT count(*) FROM marketplace_job WHERE state = 'verified'").fetchone()
        return row[0] if row else 0

    def processes(self) -> dict[str, float]:
        return {child.name: cpu_seconds(child.process.pid) for child in self.stack.processes.children}

    def stop_network(self) -> None:
        """End all but Redis, which bare Celery has for itself then."""
        for child in self.stack.processes.children:
            if child.name != "redis":
                child.process.terminate()
                child.process.wait()

    def run(self, count: int) -> dict[str, Any]:
        """Submit `count` jobs from several callers and wait until all of them are paid."""
        before, cpu, began = self.verified(), self.processes(), time.monotonic()
        dataset = self.network.upload("bench.csv", "\n".join(",".join(map(str, row)) for row in ROWS).encode())

        def submit(share: int) -> None:
            own = Network(self.stack.address)
            for _ in range(share):
                own.submit(
                    client_address="bench",
                    model_type="linear_regression",
                    reward=1,
                    dataset=dataset["dataset_id"],
                )

        shares = [count // CALLERS + (i < count % CALLERS) for i in range(CALLERS)]
        with ThreadPoolExecutor(CALLERS) as callers:
            list(callers.map(submit, shares))
        submitted = time.monotonic() - began
        until(lambda: self.verified() >= before + count)
        took = time.monotonic() - began
        used = {name: 1000 * (seconds - cpu[name]) / count for name, seconds in self.processes().items()}
        return {
            "jobs": count,
            "a_second": count / took,
            "submitting_seconds": submitted,
            "seconds": took,
            "cpu_ms_a_job": used,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=600)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    server = Server()
    try:
        with tempfile.TemporaryDirectory(prefix="computenet-bench-") as folder:
            measured = Measured(Path(folder), server.url(), arguments.workers)
            try:
                measured.start()
                measured.run(max(arguments.jobs // 10, 20))  # warm
                found = measured.run(arguments.jobs)
                measured.stop_network()
                redis_url = measured.stack.environment["REDIS_URL"]
                found["bare_celery_a_second"] = bare_celery(redis_url, Path(folder), 5 * arguments.jobs)
            finally:
                measured.stack.stop()
    finally:
        server.stop()
    found["of_bare_celery"] = found["a_second"] / found["bare_celery_a_second"]
    if arguments.json:
        print(json.dumps(found))
        return
    print(f"{found['jobs']} small jobs, submitted to paid: {found['a_second']:.0f} a second (goal 110), ", end="")
    print(f"{found['of_bare_celery']:.2f} of bare Celery's {found['bare_celery_a_second']:.0f} (goal 0.35)")
    for name, milliseconds in sorted(found["cpu_ms_a_job"].items(), key=lambda item: -item[1]):
        print(f"  {name:14} {milliseconds:6.2f} ms of CPU a job")


if __name__ == "__main__":
    main()
