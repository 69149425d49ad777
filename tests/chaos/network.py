"""The network under test: PostgreSQL, Redis, web, coordinator, verifier, beat and workers, each a real process.

What ends is started again at once, as systemd or Docker would, unless it is `held`.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from computenet.sandbox.embedded_redis import EmbeddedRedis, free_port
from computenet.sandbox.processes import EXEC_CHILD
from tests.sandbox.running import ROOT

LEASE_SECONDS = 3.0
RESUME_SECONDS = LEASE_SECONDS + 10
HOMES_BYTES = 64 * 1024**2
CLOCK_OFF = "worker's clock a day ahead, a day behind"
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
POLICY = {
    "POLICY_LEASE_SECONDS": str(LEASE_SECONDS),
    "POLICY_HEARTBEAT_SECONDS": "1",
    "POLICY_SILENT_AFTER_SECONDS": "4",
    "POLICY_START_WITHIN_SECONDS": "3",
    "POLICY_RESEND_AFTER_SECONDS": "1.5",
    "POLICY_VERIFICATION_LEASE_SECONDS": "5",
    "POLICY_VERIFICATION_TRIES": "20",  # of which each kill of the verifier takes one
    "POLICY_MAX_ATTEMPTS": "20",  # of which each kill of a worker may take one
    "POLICY_REPUTATION_MINIMUM": "0",
    "POLICY_CHALLENGE_EVERY_SECONDS": "0",
    "POLICY_DISK_RESERVE_BYTES": str(4 * 1024**2),
}
THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


@dataclass
class Program:
    """One program, and the process that runs it now."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    held: bool = False  # not to be started again yet
    frozen: bool = False
    starts: int = 0

    def start(self) -> None:
        """From the main thread alone: the kernel ends the process with the thread that started it."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(EXEC_CHILD), str(os.getpid()), *self.command],
                env=self.environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.starts += 1

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """To the process and its children."""
        if self.running and self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""


@dataclass
class Network:
    """`folder` holds everything; `database` is PostgreSQL's, whose server the caller owns."""

    folder: Path
    database: Any  # tests.postgres.Server
    database_url: str
    programs: dict[str, Program] = field(default_factory=dict)
    small_disk: bool = False

    def __post_init__(self) -> None:
        self.home = self.folder / "home"
        files = self.home / "files"
        files.mkdir(parents=True)
        (self.folder / "logs").mkdir()
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.failpoints = self.folder / "failpoints"
        self.failpoints.mkdir()
        self.redis = EmbeddedRedis.plan(self.folder / "redis")
        mounted = ["mount", "-t", "tmpfs", "-o", f"size={HOMES_BYTES}", "tmpfs", str(files)]
        if os.geteuid() == 0 and shutil.which("mount"):
            self.small_disk = subprocess.run(mounted, capture_output=True).returncode == 0
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("CHAOS_", "POLICY_"))},
            **POLICY,
            **THREADS,
            "COMPUTENET_SANDBOX": "1",
            "COMPUTENET_HOME": str(self.home),
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis.url,
            "PUBLIC_URL": self.address,
            "SECRET_KEY": "for a network that lasts minutes, on the loopback alone, and then is gone",
            "DJANGO_SETTINGS_MODULE": "computenet.settings",
            "CHAOS_FAILPOINTS": str(self.failpoints),
        }

    def add(self, name: str, command: list[str], environment: Mapping[str, str]) -> Program:
        program = Program(name, command, dict(environment), self.folder / "logs" / f"{name}.log")
        self.programs[name] = program
        program.start()
        return program

    def start_redis(self) -> None:
        """One with a user more, who may wipe it: the coordinator's own may not."""
        command = self.redis.command()
        with Path(command[-1]).open("a") as configuration:
            configuration.write(f"user wiper on >{self.redis.password} +flushall\n")
        self.wiper_url = self.redis.url.replace("//coordinator:", "//wiper:")
        self.add("redis", command, {"PATH": os.environ["PATH"]})
        self.redis.wait_until_up()

    def start(self) -> None:
        """Web, coordinator, verifier and beat, on a migrated database."""
        # The same programs as ever, through a module that can end them at their commits; it does nothing unasked.
        python = [sys.executable, "-m", "tests.chaos.failpoints"]
        web = ["uvicorn", "computenet.asgi:application", "--lifespan", "off", "--host", "127.0.0.1"]
        self.add("web", [*python, *web, "--port", str(self.port)], self.environment | {"DATABASE_KEEP": "1"})
        celery = [*python, "celery", "-A", "computenet"]
        for name, queue in (("coordinator", "coordination"), ("verifier", "verification,reading")):
            more = ["worker", "-P", "threads", "-c", "2", "-l", "info", "-Q", queue, "-n", f"{name}@%h"]
            self.add(name, [*celery, *more, "--without-gossip", "--without-mingle"], self.environment)
        schedule = str(self.folder / "beat-schedule")
        self.add(
            "beat", [*python, "celery", "-A", "computenet.beat", "beat", "-s", schedule, "--pidfile="], self.environment
        )
        self.until(self.is_up, 90, "the web process")

    def worker(self, name: str, *arguments: str, **environment: str) -> Program:
        """Register a worker and start its Celery worker; `wait_for_workers` waits for it."""
        body = {"worker_id": name, "gpu_type": "RTX 4090", "compute_capacity": 82.6, "stake_amount": 5_000}
        key = self.call("POST", "/worker/register", body)["enrolment_key"]
        kept = {variable: os.environ[variable] for variable in ("PATH", "HOME", "LANG") if variable in os.environ}
        home = self.folder / "hosts" / name
        kept |= THREADS | {
            "COMPUTENET_URL": self.address,
            "COMPUTENET_KEY": key,
            "COMPUTENET_WORKER_HOME": str(home),
            "COMPUTENET_GPU_TYPE": "RTX 4090",
        }
        command = [sys.executable, "-m", "celery", "-A", "workers", "worker", "-l", "info", *arguments]
        return self.add(name, command, kept | environment)

    @property
    def workers(self) -> list[Program]:
        infrastructure = ("redis", "web", "coordinator", "verifier", "beat")
        return [program for name, program in self.programs.items() if name not in infrastructure]

    def wait_for_workers(self) -> None:
        for program in self.workers:
            where = f"/worker/{program.name}/status"
            self.until(lambda where=where: self.call("GET", where)["is_online"], 90, program.name)

    def mend(self) -> None:
        """Start again what has ended and is not held."""
        for program in self.programs.values():
            if not program.running and not program.held:
                program.start()

    def until(self, what: Any, seconds: float, name: str) -> None:
        """Mend until `what()` is true; errors count as not yet.

        Raises:
            TimeoutError: it was not, within `seconds`.
        """
        ends_at = time.monotonic() + seconds
        while not _quietly(what):
            self.mend()
            if time.monotonic() > ends_at:
                shown = self.programs.get(name, self.programs["web"])
                raise TimeoutError(f"{name}: not within {seconds:.0f} s\n{shown.tail()}")
            time.sleep(0.1)

    def is_up(self) -> bool:
        return requests.get(f"{self.address}/health", timeout=5).status_code == 200

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """The JSON of a call that succeeds.

        Raises:
            requests.RequestException: it does not.
        """
        reply = requests.request(method, self.address + path, json=body, timeout=10, **more)
        reply.raise_for_status()
        return reply.json()

    def stop(self) -> None:
        """End everything but Redis and the database."""
        for name in [name for name in self.programs if name != "redis"]:
            self.programs.pop(name).kill()

    def close(self) -> None:
        for program in reversed(self.programs.values()):
            program.kill()
        if self.small_disk:
            subprocess.run(["umount", "-l", str(self.home / "files")], check=False)


def _quietly(what: Any) -> Any:
    try:
        return what()
    except Exception:  # whatever it was, the network is not there yet
        return False
