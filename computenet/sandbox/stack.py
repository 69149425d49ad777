"""The network's processes on one machine: which there are, with which environment, and when they are ready."""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from computenet.sandbox.embedded_redis import EmbeddedRedis, port_is_free
from computenet.sandbox.errors import SandboxError
from computenet.sandbox.home import Home
from computenet.sandbox.processes import Child, ProcessGroup, Show

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 90.0
# What ends by itself is started again after the pause, unless it has ended so many times within so many seconds.
PAUSE_SECONDS = 1.0
MOST_ENDS, WITHIN_SECONDS = 5, 60.0
# The coordinator's Celery workers, each with its queues: one for all, or three as where there are more machines.
TOGETHER = {"coordinator": "coordination,verification,reading"}
APART = {"coordinator": "coordination", "verifier": "verification", "reader": "reading"}
# What a GPU host gets of our environment: it is on the far side of the trust boundary, here as elsewhere.
HOST_VARIABLES = ("PATH", "HOME", "USER", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "COMPUTENET_DEVICE")
HOST_PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "OMP_", "OPENBLAS_", "MKL_")


@dataclass(frozen=True)
class Prepared:
    """What `manage.py prepare_sandbox` answered.

    Attributes:
        admin_password: new for this run; empty where the operator has chosen one.
        host_key: the enrolment key of the GPU host that computes for hand-made workers; empty where none was wanted.
    """

    admin_password: str
    host_key: str


class Stack:
    """Redis, web, coordinator, beat (`start`) and any number of GPU hosts (`start_host`), over one home.

    All of it ends with `stop`.
    """

    def __init__(
        self, home: Home, port: int, show: Show, *, verbose: bool = False, workers: Mapping[str, str] = TOGETHER
    ) -> None:
        """
        Args:
            workers: the coordinator's Celery workers by name, and the queues of each.

        Raises:
            SandboxError: the port is in use, or there is no Redis.
        """
        if not port_is_free(port):
            raise SandboxError(
                f"Port {port} of 127.0.0.1 is in use by another program; choose another one, such as PORT={port + 1}."
            )
        self.home = home
        self.port = port
        self.address = f"http://127.0.0.1:{port}"
        self.processes = ProcessGroup(home.logs, show, verbose)
        self.workers = workers
        self.environment: dict[str, str] = {}  # of the processes on the trusted side, once started
        self._redis: EmbeddedRedis | None = None
        if not os.environ.get("REDIS_URL"):
            self._redis = EmbeddedRedis.plan(home.path / "redis", home.redis_port, home.redis_password)

    def start(self, *, with_host_key: bool) -> Prepared:
        """Start everything but GPU hosts, and return when the web answers and the coordinator takes tasks.

        Raises:
            SandboxError: a process ended by itself, or was not ready in time.
        """
        if self._redis:
            path = {"PATH": os.environ.get("PATH", os.defpath)}
            self.processes.start("redis", self._redis.command(), path, folder=ROOT, quiet=True)
            self._redis.wait_until_up()
        self.environment = {
            **os.environ,
            "COMPUTENET_SANDBOX": "1",
            "COMPUTENET_HOME": str(self.home.path),
            "DATABASE_URL": os.environ.get("DATABASE_URL") or self.home.database_url,
            "REDIS_URL": self._redis.url if self._redis else os.environ["REDIS_URL"],
            "PUBLIC_URL": self.address,
            "SECRET_KEY": os.environ.get("SECRET_KEY") or self.home.secret_key,
            "DJANGO_SETTINGS_MODULE": "computenet.settings",
            "PYTHONUNBUFFERED": "1",
        }
        prepared = self._prepare(["--host"] if with_host_key else [])
        python = [sys.executable, "-m"]
        kept, pooled = ({**self.environment, name: "1"} for name in ("DATABASE_KEEP", "DATABASE_POOL"))
        self._start(
            "web",
            [*python, "uvicorn", "computenet.asgi:application", "--lifespan", "off", "--host", "127.0.0.1"]
            + ["--port", str(self.port), "--no-proxy-headers", "--no-access-log", "--timeout-graceful-shutdown", "3"],
            kept,
        )
        celery = [*python, "celery", "-A", "computenet", "worker", "-P", "threads", "-c", "4", "-l", "info"]
        celery += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        workers = [
            self._start(name, [*celery, "-Q", queues, "-n", f"{name}@%h"], pooled, ready_when=r" ready\.( \[|$)")
            for name, queues in self.workers.items()
        ]
        schedule = str(self.home.path / "beat-schedule")
        self._start("beat", [*python, "celery", "-A", "computenet.beat", "beat", "-s", schedule, "--pidfile="])
        for worker in workers:
            self.wait_for(worker)
        self._wait_for_web()
        return prepared

    def start_host(self, name: str, key: str, *, gpu_type: str = "", slots: int = 1) -> Child:
        """Start a GPU host's Celery worker, which enrols with `key`. It knows the coordinator's address, no more."""
        environment = {
            variable: value
            for variable, value in os.environ.items()
            if variable in HOST_VARIABLES or variable.startswith(HOST_PREFIXES)
        }
        environment |= {
            "COMPUTENET_URL": self.address,
            "COMPUTENET_KEY": key,
            "COMPUTENET_WORKER_HOME": str(self.home.hosts / name),
            "PYTHONUNBUFFERED": "1",
        }
        if gpu_type:
            environment["COMPUTENET_GPU_TYPE"] = gpu_type
        command = [sys.executable, "-m", "celery", "-A", "workers", "worker", "-P", "threads", "-c", str(slots)]
        return self._start(f"host-{name}", [*command, "-l", "info", "-n", f"{name}@%h"], environment, r" ready\.$")

    def wait_for(self, child: Child) -> None:
        """Return when `child` has said that it is ready.

        Raises:
            SandboxError: any process ended by itself, or the time ran out.
        """
        deadline = time.monotonic() + READY_SECONDS
        while not child.ready.wait(timeout=0.05):
            self.check()
            if time.monotonic() > deadline:
                raise SandboxError(f"The {child.name} did not become ready; its log is {child.log}.")

    def check(self) -> None:
        """
        Raises:
            SandboxError: a process has ended by itself.
        """
        if child := self.processes.ended():
            raise SandboxError(
                f"The {child.name} ended by itself, {child.how_it_ended()}."
                f" Its log, {child.log}, ends so:\n{child.tail()}"
            )

    def mend(self) -> None:
        """Start a process that has ended by itself again, and say so.

        Raises:
            SandboxError: it has ended again and again.
        """
        child = self.processes.ended()
        if child is None:
            return
        if child.ended_often(MOST_ENDS, WITHIN_SECONDS):
            raise SandboxError(
                f"The {child.name} ended by itself {MOST_ENDS} times within {WITHIN_SECONDS:.0f} s, the last time"
                f" {child.how_it_ended()}. Its log, {child.log}, ends so:\n{child.tail()}"
            )
        self.processes.show(
            "sandbox", f"The {child.name} ended by itself, {child.how_it_ended()}; it is started again."
        )
        time.sleep(PAUSE_SECONDS)
        self.processes.start_again(child)

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of `manage.py` in this stack's environment, and wait for it."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            env=self.environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def stop(self) -> None:
        self.processes.stop()

    def _start(
        self,
        name: str,
        command: list[str],
        environment: Mapping[str, str] | None = None,
        ready_when: str | None = None,
    ) -> Child:
        chosen = self.environment if environment is None else environment
        return self.processes.start(name, command, chosen, folder=ROOT, ready_when=ready_when)

    def _prepare(self, options: list[str]) -> Prepared:
        done = self.manage("prepare_sandbox", *options)
        if done.returncode != 0:
            raise SandboxError(f"The database could not be prepared:\n{done.stderr.strip()[-3000:]}")
        answer = json.loads(done.stdout.splitlines()[-1])
        return Prepared(admin_password=answer["admin_password"], host_key=answer["host_key"])

    def _wait_for_web(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_healthy():
            self.check()
            if time.monotonic() > deadline:
                raise SandboxError(f"The web did not answer {self.address}/health; its logs are in {self.home.logs}.")
            time.sleep(0.05)

    def _is_healthy(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()
