"""A real web process of the network, as the sandbox starts it."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import requests

from computenet.sandbox.embedded_redis import free_port

START_SECONDS = 60.0


class Server:
    """uvicorn on a free loopback port, with small limits; speaks to the database of `DATABASE_URL`."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "web.log"
        limits = {"MAX_BODY_BYTES": "100000", "MAX_UPLOAD_BYTES": "1000000", "MAX_RESULT_BYTES": "1000000"}
        # All tests call from one address, and Redis counts on from one test to the next.
        limits |= dict.fromkeys(("THROTTLE_ADDRESS", "THROTTLE_USER"), "60000")
        limits["SECURE_SSL_REDIRECT"] = "0"  # outside the sandbox, too, it is spoken to without TLS
        command = [sys.executable, "-m", "uvicorn", "computenet.asgi:application", "--lifespan", "off"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", str(self.port)],
                env=os.environ | limits | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait_until_up(self) -> None:
        ends_at = time.monotonic() + START_SECONDS
        while time.monotonic() < ends_at and self.process.poll() is None:
            try:
                requests.get(f"{self.url}/health", timeout=5)
                return
            except requests.ConnectionError:
                time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"The web process did not come up:\n{self.log.read_text()}")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def peak_memory_bytes(self) -> int:
        """The most memory that the process has held so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)
