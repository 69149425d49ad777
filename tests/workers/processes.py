"""Real ``celery -A workers worker`` processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.workers.coordinator import Coordinator

ROOT = Path(__file__).resolve().parents[2]


def wait_until(condition: Callable[[], object], seconds: float = 15.0, about: Callable[[], str] = lambda: "") -> None:
    ends_at = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends_at:
            raise AssertionError(f"It did not happen within {seconds} s. {about()}")
        time.sleep(0.005)


class CeleryWorker:
    """One Celery worker process, with its output in a file of its home."""

    def __init__(self, home: Path, coordinator: Coordinator, *arguments: str, **environment: str) -> None:
        self.home = home
        self.coordinator = coordinator
        self.output = home.with_suffix(".log")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("COMPUTENET_", "CELERY"))}
        kept |= {
            "COMPUTENET_URL": coordinator.url,
            "COMPUTENET_KEY": "key-1",
            "COMPUTENET_WORKER_HOME": str(home),
            "COMPUTENET_DEVICE": "cpu",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
        }
        kept |= environment
        command = [sys.executable, "-m", "celery", "-A", "workers", "worker", "-l", "info"]
        self.since = len(coordinator.heartbeats)
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [*command, "-I", "tests.workers.toy_catalogue", *arguments],
                cwd=ROOT,
                env={name: value for name, value in kept.items() if value},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def ready(self) -> "CeleryWorker":
        """Wait until it beats and consumes."""
        wait_until(lambda: len(self.coordinator.heartbeats) > self.since and " ready." in self.log(), about=self.log)
        return self

    def log(self) -> str:
        return self.output.read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = 15.0) -> int:
        return self.process.wait(seconds)

    def end(self) -> None:
        """End it the hard way; what it forked notices by itself."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
