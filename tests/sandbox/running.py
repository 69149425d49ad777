"""A sandbox started as a person starts it, for the tests to look at and to end."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS, STOP_SECONDS = 60.0, 25.0
# What the tests' own Django reads must not reach a sandbox, which makes its own.
OURS = (
    "DJANGO_SETTINGS_MODULE",
    "DATABASE_URL",
    "REDIS_URL",
    "SECRET_KEY",
    "COMPUTENET_HOME",
    "COMPUTENET_SANDBOX",
    "PORT",
)
# The client's suite may run where the trusted side is not installed: then another Python starts the sandbox.
PYTHON = os.environ.get("COMPUTENET_SANDBOX_PYTHON", sys.executable)
_no_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def environment(home: Path, port: int, more: Mapping[str, str] | None = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in OURS}
    return {**kept, "COMPUTENET_HOME": str(home), "PORT": str(port), **(more or {})}


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def processes() -> dict[int, int]:
    """The parent of every process of this machine that still lives."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue  # it ended meanwhile
            if state != "Z":
                parents[int(folder.name)] = int(parent)
    return parents


def descendants(pid: int) -> set[int]:
    parents, found = processes(), {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def wait_until(what: Any, seconds: float, interval: float = 0.05) -> Any:
    """The first true answer of `what()`; the test fails when none came in time."""
    deadline = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(interval)
    return answer


class Sandbox:
    """One `manage.py sandbox`, and the lines that it has printed."""

    def __init__(self, home: Path, port: int, more: Mapping[str, str] | None = None) -> None:
        self.home, self.port = home, port
        self.address = f"http://127.0.0.1:{port}"
        self.output = ""
        self.process = subprocess.Popen(
            [PYTHON, "manage.py", "sandbox"], cwd=ROOT, env=environment(home, port, more),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line

    def wait_until_up(self) -> None:
        wait_until(lambda: "Ctrl-C ends it" in self.output or self.process.poll() is not None, START_SECONDS)
        assert self.process.poll() is None, self.output

    def wait_until_ended(self) -> int:
        status = self.process.wait(timeout=STOP_SECONDS)
        self._reader.join(timeout=5)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status

    @property
    def password(self) -> str:
        found = re.search(r"user admin, password (\S+)", self.output)
        assert found, self.output
        return found[1]

    def call(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """The JSON that the network answers, with its status under "http_status"."""
        request = urllib.request.Request(
            self.address + path, method=method, data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Accept": "application/json", **(headers or {})},
        )  # fmt: skip
        try:
            with _no_proxy.open(request, timeout=20) as reply:
                return {"http_status": reply.status, **json.load(reply)}
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            return {"http_status": error.code, **(json.loads(text) if text.startswith("{") else {"text": text})}

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.wait_until_ended()


@contextmanager
def running(home: Path, port: int, more: Mapping[str, str] | None = None) -> Iterator[Sandbox]:
    """A sandbox that is up, and that is ended with the block if the block has not ended it."""
    sandbox = Sandbox(home, port, more)
    try:
        sandbox.wait_until_up()
        yield sandbox
    finally:
        if sandbox.process.poll() is None:
            sandbox.process.terminate()
            try:
                sandbox.wait_until_ended()
            except subprocess.TimeoutExpired:
                sandbox.process.kill()  # its children end with it
                sandbox.process.wait()


def audit(home: Path) -> subprocess.CompletedProcess[str]:
    """`manage.py audit_ledger` on a sandbox's database."""
    return subprocess.run(
        [PYTHON, "manage.py", "audit_ledger"], cwd=ROOT, capture_output=True, text=True,
        env={**environment(home, 1), "COMPUTENET_SANDBOX": "1", "SECRET_KEY": "for the audit"},
    )  # fmt: skip
