"""Files: what was uploaded, the matrices made of it, what workers wrote back, and accepted results.

All are immutable and named by their SHA-256, but for an accepted result, which is named by its job.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

from django.conf import settings

Kind = Literal["uploads", "matrices", "results", "answers"]
CHUNK_BYTES = 1024 * 1024


def path(kind: Kind, name: str) -> Path:
    """Where a file is or would be. `name` is a hexadecimal digest or a UUID, never a name from outside."""
    return settings.COMPUTENET_HOME / "files" / kind / name[:2] / name


@contextmanager
def temporary() -> Iterator[IO[bytes]]:
    """A file beside the others to write into; `keep` moves it to its place, else it is gone at the end."""
    folder = settings.COMPUTENET_HOME / "files" / "incoming"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        try:
            yield file
        finally:
            Path(file.name).unlink(missing_ok=True)


def keep(file: IO[bytes], kind: Kind, name: str) -> Path:
    """Put a finished temporary file in its place, durably. The same content twice is one file."""
    file.flush()
    os.fsync(file.fileno())
    target = path(kind, name)
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(file.name, target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return target


def keep_bytes(content: bytes, kind: Kind, name: str) -> Path:
    with temporary() as file:
        file.write(content)
        return keep(file, kind, name)


def sha256(file: IO[bytes]) -> str:
    """The digest of the whole file, in hexadecimal."""
    digest = hashlib.sha256()
    file.seek(0)
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()
