"""The folder that a sandbox keeps: its lock, its secrets, and where everything else in it lies."""

import fcntl
import json
import os
import secrets
from pathlib import Path
from typing import TextIO

from computenet.sandbox.embedded_redis import free_port, port_is_free
from computenet.sandbox.errors import SandboxError


class Home:
    """`COMPUTENET_HOME` in the hands of one sandbox.

    Attributes:
        path: the folder, absolute, mode 0700 if it was made here.
        secret_key: Django's `SECRET_KEY`, kept so that sessions outlive a restart.
        redis_password, redis_port: of the embedded Redis. Kept, because the GPU hosts that enrolled remember them.
    """

    def __init__(self, path: Path) -> None:
        """Make the folder where there is none, and lock it.

        Raises:
            SandboxError: another sandbox holds it, or it cannot be written.
        """
        self.path = path.expanduser().resolve()
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = self._locked()
        except OSError as error:
            raise SandboxError(f"COMPUTENET_HOME {self.path} cannot be written: {error.strerror}.") from None
        self._settings = self._read()
        self.secret_key = self._kept("secret_key", secrets.token_urlsafe(50))
        self.redis_password = self._kept("redis_password", secrets.token_urlsafe(24))
        self.redis_port = int(self._kept("redis_port", str(free_port())))
        if not port_is_free(self.redis_port):
            self.redis_port = free_port()
            self._settings["redis_port"] = str(self.redis_port)
        self._write()

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def hosts(self) -> Path:
        """Holds the `COMPUTENET_WORKER_HOME` of each GPU host started here."""
        return self.path / "hosts"

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.path / 'db.sqlite3'}"

    def release(self) -> None:
        self._lock.close()

    def _locked(self) -> TextIO:
        lock = open(self.path / "sandbox.lock", "a+")  # noqa: SIM115  held open as long as the sandbox runs
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip()
            lock.close()
            raise SandboxError(
                f"A sandbox is running on {self.path} already (process {holder}); stop it, or set COMPUTENET_HOME to"
                " another folder."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        return lock

    @property
    def _file(self) -> Path:
        return self.path / "sandbox.json"

    def _read(self) -> dict[str, str]:
        try:
            settings = json.loads(self._file.read_text())
        except FileNotFoundError:
            return {}
        except ValueError:
            raise SandboxError(f"{self._file} is damaged; delete it, and the sandbox makes new secrets.") from None
        return {str(name): str(value) for name, value in settings.items()}

    def _kept(self, name: str, otherwise: str) -> str:
        return self._settings.setdefault(name, otherwise)

    def _write(self) -> None:
        temporary = self._file.with_suffix(".new")
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(self._settings, file, indent=1)
        temporary.replace(self._file)
