"""Files: what was uploaded, the matrices made of it, what workers wrote back, and accepted results.

All are immutable and named by their SHA-256, but for an accepted result, which is named by its job, and a file that
still comes in parts, which is named by its upload.
"""

import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, Any, Literal

from django.conf import settings

from marketplace.domain.errors import Conflict, NoRoom

Kind = Literal["uploads", "matrices", "results", "answers", "partial"]
CHUNK_BYTES = 1024 * 1024
FLUSHES = 8  # that wait for the disk at the same time
FULL = "The network's disk is full; try again when the operator has made room."


def path(kind: Kind, name: str) -> Path:
    """Where a file is or would be. `name` is a hexadecimal digest or a UUID, never a name from outside."""
    return settings.COMPUTENET_HOME / "files" / kind / name[:2] / name


class Reserved:
    """A file that grows only while the disk has more free than the policy's reserve, which is the database's.

    Its `write` raises `NoRoom` where it may not; everything else is the file's own.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, content: Any) -> int:
        require_free(memoryview(content).nbytes)
        return self._file.write(content)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class Told:
    """A file whose writer is watched: `told` hears after each write how many bytes were written."""

    def __init__(self, file: IO[bytes], told: Callable[[int], None]) -> None:
        self._file, self._told, self._written = file, told, 0

    def write(self, content: Any) -> int:
        written = self._file.write(content)
        self._written += memoryview(content).nbytes
        self._told(self._written)
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def require_free(size_bytes: int) -> None:
    """
    Raises:
        NoRoom: with `size_bytes` more, the disk would have less than the policy's reserve.
    """
    if shutil.disk_usage(_incoming()).free - size_bytes < settings.POLICY.disk_reserve_bytes:
        raise NoRoom("The network's disk is full: it takes no new data until the operator makes room.")


def _incoming() -> Path:
    folder: Path = settings.COMPUTENET_HOME / "files" / "incoming"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def temporary(*, reserved: bool = False) -> Iterator[IO[bytes]]:
    """A file beside the others to write into; `keep` moves it to its place, else it is gone at the end.

    With `reserved` it leaves alone what the disk keeps for the database and for workers' answers.

    Raises:
        NoRoom: the disk is full.
    """
    with refused_when_full(), tempfile.NamedTemporaryFile(dir=_incoming(), delete=False) as file:
        try:
            yield Reserved(file) if reserved else file  # type: ignore[misc]
        finally:
            Path(file.name).unlink(missing_ok=True)


@contextmanager
def refused_when_full() -> Iterator[None]:
    """
    Raises:
        NoRoom: the disk is full.
    """
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise NoRoom(FULL) from None
        raise


def reserve(kind: Kind, name: str, size_bytes: int) -> None:
    """Make a file of `size_bytes` zeros, which take no room until they are written over."""
    target = path(kind, name)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        file.truncate(size_bytes)


@contextmanager
def reopened(kind: Kind, name: str) -> Iterator[IO[bytes]]:
    """A file that `reserve` made, to write into while the disk has room for it. Until the end nobody has it `alone`.

    Raises:
        NoRoom: the disk is full.
        Conflict: somebody has it alone, or it is gone.
    """
    try:
        with refused_when_full(), path(kind, name).open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            yield Reserved(file)  # type: ignore[misc]
    except (BlockingIOError, FileNotFoundError):
        raise Conflict("This file takes no more parts.") from None


@contextmanager
def alone(kind: Kind, name: str) -> Iterator[bool]:
    """Whether nobody writes into a file that `reserve` made, or it is gone. Until the end nobody does."""
    free = True
    with ExitStack() as files:
        with suppress(FileNotFoundError):
            file = files.enter_context(path(kind, name).open("rb"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                free = False
        yield free


def is_full(error: BaseException) -> bool:
    """Does `error` say that there is no room left, on the disk or in somebody's share of it?"""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def flush(file: IO[bytes]) -> None:
    """Have all that was written on the disk."""
    file.flush()
    os.fsync(file.fileno())


def flush_all(files: Sequence[IO[bytes]]) -> None:
    """`flush` several files at the same time: who waits, waits for the disk, and it takes many at once."""
    _at_once(flush, files)


@cache
def _flushers(process: int) -> ThreadPoolExecutor:
    """The threads of this process, which are kept: those of a parent did not come along."""
    return ThreadPoolExecutor(FLUSHES, thread_name_prefix="flush")


def _at_once(act: Callable[[Any], None], things: Collection[Any]) -> None:
    if len(things) > 1:
        acts = [_flushers(os.getpid()).submit(act, each) for each in things]
        wait(acts)  # all of them, for who is told of a failure closes the files
        for each in acts:
            each.result()
    else:
        for each in things:
            act(each)


def keep(file: IO[bytes], kind: Kind, name: str, *, flushed: bool = False) -> Path:
    """Put a finished temporary file in its place, durably. The same content twice is one file.

    `flushed` says that all of it is on the disk already, by `flush`.
    """
    if not flushed:
        flush(file)
    keep_all([(file, kind, name)])
    return path(kind, name)


def keep_all(files: Iterable[tuple[IO[bytes], Kind, str]]) -> None:
    """`keep` several files that are flushed. Their folders are flushed at the same time, each once."""
    folders = set()
    for file, kind, name in files:
        target = path(kind, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file.name, target)
        folders.add(target.parent)
    _at_once(_flush_folder, folders)


def _flush_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def delete(kind: Kind, name: str) -> None:
    """Have a file gone. That does not roll back."""
    path(kind, name).unlink(missing_ok=True)


def sha256(file: IO[bytes], told: Callable[[int], None] = lambda done: None) -> str:
    """The digest of the whole file, in hexadecimal. `told` hears as it goes how many bytes were read."""
    digest, done = hashlib.sha256(), 0
    file.seek(0)
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
        done += len(chunk)
        told(done)
    return digest.hexdigest()
