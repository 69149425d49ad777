"""The folder that a Celery worker keeps: who it is, what it cached, what it has yet to deliver.

::

    credentials.json   mode 0600: what enrolment gave
    lock               held by the one process that uses the folder
    cache/             datasets by hash
    spool/             answers on their way to the coordinator
    running/           one file for each assignment being computed
"""

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

if sys.platform != "win32":
    import fcntl


class HomeError(RuntimeError):
    """The folder cannot be used. The message is one sentence."""


@dataclass(frozen=True)
class Credentials:
    """What enrolment gave, and what it was given for."""

    server: str
    worker: str  # UUID
    worker_id: str  # the name that its contributor gave it
    secret: str
    queue: str
    broker_url: str
    heartbeat_seconds: float
    key_digest: str = ""  # SHA-256 of the enrolment key, so that another key enrols again
    transport: str = "redis"  # "https" where heartbeats fetch what there is to do

    @property
    def authorization(self) -> str:
        return f"Worker {self.worker}.{self.secret}"


def key_digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


class Home:
    """The folder at `path`, made (mode 0700) where it is missing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cache = path / "cache"
        self.spool = path / "spool"
        self.running = path / "running"
        self._lock: int | None = None
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self.cache, self.spool, self.running):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as problem:
            raise HomeError(
                f"COMPUTENET_WORKER_HOME names {path}, which cannot be made or written: {problem.strerror}."
            ) from problem

    def claim(self) -> None:
        """Keep other processes out until this one ends.

        Raises:
            HomeError: another process has the folder.
        """
        self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        if not _try_lock(self._lock):
            os.close(self._lock)
            self._lock = None
            raise HomeError(
                f"Another Celery worker uses {self.path}; give each its own folder with COMPUTENET_WORKER_HOME."
            )

    @property
    def credentials_file(self) -> Path:
        return self.path / "credentials.json"

    def credentials(self) -> Credentials | None:
        """What an earlier enrolment gave; None where there was none.

        Raises:
            HomeError: the file is there and cannot be understood.
        """
        try:
            kept: dict[str, Any] = json.loads(self.credentials_file.read_text(encoding="utf-8"))
            known = {"transport": "redis", **kept}  # kept by a version that knew of nothing else
            return Credentials(**{field.name: known[field.name] for field in fields(Credentials)})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as problem:
            raise HomeError(
                f"{self.credentials_file} cannot be read; delete it and enrol again with a new enrolment key."
            ) from problem

    def keep(self, credentials: Credentials) -> None:
        write_durably(self.credentials_file, json.dumps(asdict(credentials), indent=2).encode(), mode=0o600)


def write_durably(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write `path` whole or not at all, and have it on the disk before returning."""
    temporary = path.with_name(path.name + ".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in `folder` on the disk, so that a renamed file survives a loss of power."""
    if sys.platform == "win32":  # folders cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold `path` against all threads and processes of this machine, waiting for it where needed."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if sys.platform != "win32":
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    if sys.platform == "win32":
        return True
    try:  # a record lock, because a pool's child would inherit the other kind and outlive its parent with it
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
