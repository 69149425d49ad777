"""How many small jobs a second the whole network carries, from their submission over HTTP to their payment.

    python -m benchmarks.throughput [--jobs 600] [--workers 64] [--json]

One request a job, from callers that are one user's (whose submissions at the same moment go together), and many jobs in
one request; set beside bare Celery's rate of tasks that do nothing, one after the other, over the same Redis on the
same machine. PostgreSQL, Redis, web, coordinator and GPU host are real processes on the loopback; where
the time goes is told as each one's CPU time a job. Then one job at a time in an idle network, and what the stack takes
when it does nothing at all.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from benchmarks import command_line
from computenet.sandbox.demo.network import Network
from computenet.sandbox.embedded_redis import free_port
from computenet.sandbox.home import Home
from computenet.sandbox.stack import ROOT, Stack
from tests.postgres import Server

PATIENCE_SECONDS = 300.0
CALLERS = 8  # submit at the same time, each over a connection of its own
WORKERS = 64  # on one host, each with a slot: as many as keep two cores busy, though each waits between two steps
BATCH = 100  # jobs in one request
IDLE_JOBS = 30  # one after the other
REST_SECONDS = 20.0
SETTLE_SECONDS = 8.0  # for a cycle and a seal after the last job
LOOK_SECONDS = 0.05  # between two looks at what is done
TICK_HZ = os.sysconf("SC_CLK_TCK")
ROWS = [[float(i), float(i * i % 7), float(3 * i % 5)] for i in range(24)]


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and of all below it, those that have ended included."""
    try:
        parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:  # it ended just now, and is among what its parent's children took
        return 0.0
    own = sum(int(ticks) for ticks in parts[11:15]) / TICK_HZ
    return own + sum(cpu_seconds(int(child)) for child in children)


def memory_mib(pid: int) -> float:
    """What a process and all below it hold in memory, without what they share."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    own = sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(memory_mib(int(child)) for child in children)


def until(reached: Callable[[], bool]) -> None:
    """
    Raises:
        TimeoutError
    """
    ends_at = time.monotonic() + PATIENCE_SECONDS
    while not reached():
        if time.monotonic() > ends_at:
            raise TimeoutError(f"not within {PATIENCE_SECONDS:.0f} s")
        time.sleep(LOOK_SECONDS)


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

    def __init__(self, folder: Path, server: Server, workers: int) -> None:
        os.environ["DATABASE_URL"] = self.database_url = server.url()
        self.server = server
        self.stack = Stack(Home(folder / "home"), free_port(), lambda process, line: None)
        self.workers = workers
        self.network = Network(self.stack.address)
        self.connection: psycopg.Connection | None = None

    def start(self) -> None:
        prepared = self.stack.start(with_host_key=True)
        self.stack.wait_for(self.stack.start_host("local", prepared.host_key, slots=self.workers))
        for i in range(self.workers):
            self.network.register_worker(f"worker-{i}", "RTX 4090", 82.6, 1000)
        self.network.register_client("bench", 1_000_000)

    def asked(self, statement: LiteralString) -> list[Any]:
        """Over a connection that is kept: a new one costs PostgreSQL as much as half a job."""
        if self.connection is None:
            self.connection = psycopg.connect(self.database_url, autocommit=True)
        return self.connection.execute(statement).fetchall()

    def verified(self) -> int:
        return self.asked("SELECT count(*) FROM marketplace_job WHERE state = 'verified'")[0][0]

    def pids(self) -> dict[str, int]:
        children = {child.name: child.process.pid for child in self.stack.processes.children}
        return children | {"postgresql": self.server.pid}

    def processes(self) -> dict[str, float]:
        return {name: cpu_seconds(pid) for name, pid in self.pids().items()}

    def stop_network(self) -> None:
        """End all but Redis, which bare Celery has for itself then."""
        for child in self.stack.processes.children:
            if child.name != "redis":
                child.process.terminate()
                child.process.wait()

    def run(self, count: int, batch: int = 0) -> dict[str, Any]:
        """Submit `count` jobs and wait until all of them are paid: from several callers, or so many in one request."""
        before, cpu, began = self.verified(), self.processes(), time.monotonic()
        dataset = self.network.upload("bench.csv", "\n".join(",".join(map(str, row)) for row in ROWS).encode())
        job = {"client_address": "bench", "model_type": "linear_regression", "reward": 1}
        job["dataset"] = dataset["dataset_id"]

        def submit(share: int) -> None:
            own = Network(self.stack.address)
            for _ in range(share):
                own.submit(**job)

        if batch:
            for first in range(0, count, batch):
                self.network.submit_many([job] * min(batch, count - first))
        else:
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

    def idle(self) -> dict[str, float]:
        """Seconds from submission to verified, by the database's clock, of jobs that come one at a time."""
        for _ in range(IDLE_JOBS):
            before = self.verified()
            self.network.submit(client_address="bench", model_type="linear_regression", reward=1)
            until(lambda before=before: self.verified() > before)
        rows = self.asked(
            "SELECT extract(epoch FROM ended_at - submitted_at)::float FROM marketplace_job ORDER BY submitted_at DESC"
        )
        took = sorted(row[0] for row in rows[:IDLE_JOBS])
        return {"median_seconds": statistics.median(took), "slowest_seconds": took[-1], "jobs": float(len(took))}

    def at_rest(self) -> dict[str, float]:
        """Per cent of one core, and memory, of the coordinator's side; the GPU host is somebody else's."""
        time.sleep(SETTLE_SECONDS)
        ours = {name: pid for name, pid in self.pids().items() if not name.startswith("host")}
        before, began = {name: cpu_seconds(pid) for name, pid in ours.items()}, time.monotonic()
        time.sleep(REST_SECONDS)
        seconds = time.monotonic() - began
        used = {name: 100 * (cpu_seconds(pid) - before[name]) / seconds for name, pid in ours.items()}
        memory = {name: memory_mib(pid) for name, pid in ours.items()}
        found = {"cpu_percent": sum(used.values()), "memory_mib": sum(memory.values())}
        return (
            found
            | {f"{name}_cpu_percent": value for name, value in used.items()}
            | {f"{name}_memory_mib": value for name, value in memory.items()}
        )


def measure(jobs: int, workers: int) -> dict[str, Any]:
    server = Server()
    try:
        with tempfile.TemporaryDirectory(prefix="computenet-bench-") as folder:
            measured = Measured(Path(folder), server, workers)
            try:
                measured.start()
                measured.run(max(jobs // 10, 20))  # warm
                found: dict[str, Any] = {"one_by_one": measured.run(jobs), "batched": measured.run(jobs, BATCH)}
                found |= {"idle": measured.idle(), "at_rest": measured.at_rest()}
                measured.stop_network()
                bare = bare_celery(measured.stack.environment["REDIS_URL"], Path(folder), 5 * jobs)
            finally:
                measured.stack.stop()
    finally:
        server.stop()
    for each in (found["one_by_one"], found["batched"]):
        each["of_bare_celery"] = each["a_second"] / bare
    return found | {"bare_celery_a_second": bare, "workers": workers}


def show(found: dict[str, Any]) -> None:
    for name, goal in (("one_by_one", "110, and 0.35"), ("batched", "1.0")):
        each = found[name]
        print(f"{each['jobs']} small jobs, submitted to paid, {name.replace('_', ' ')}, ", end="")
        print(f"{found['workers']} workers: ", end="")
        print(f"{each['a_second']:.1f} a second, {each['of_bare_celery']:.3f} of bare Celery's ", end="")
        print(f"{found['bare_celery_a_second']:.0f} (goal {goal})")
        for process, milliseconds in sorted(each["cpu_ms_a_job"].items(), key=lambda item: -item[1]):
            print(f"  {process:14} {milliseconds:6.2f} ms of CPU a job")
        print(f"  {'together':14} {sum(each['cpu_ms_a_job'].values()):6.2f}")
    idle, rest = found["idle"], found["at_rest"]
    print(f"One job in an idle network: median {idle['median_seconds']:.3f} s (goal 0.5), ", end="")
    print(f"the slowest of {idle['jobs']:.0f} {idle['slowest_seconds']:.3f} s (goal 1.5)")
    print(f"At rest: {rest['cpu_percent']:.1f} % of a core (goal 2), {rest['memory_mib']:.0f} MiB (goal 600)")


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--jobs", type=int, default=600)
    parser.add_argument("--workers", type=int, default=WORKERS)
    arguments = parser.parse_args()
    command_line.report(measure(arguments.jobs, arguments.workers), show, as_json=arguments.json)


if __name__ == "__main__":
    main()
