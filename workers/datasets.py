"""Matrices fetched from the coordinator, kept by hash, opened as memory maps and never unpickled."""

import hashlib
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import requests
from numpy.lib import format as npy_format

from workers.catalog.base import Float
from workers.client import Client, Unavailable
from workers.home import exclusive
from workers.protocol import Matrix

log = logging.getLogger(__name__)

BLOCK_BYTES = 1 << 20
FETCH_BYTES = 1 << 18  # a connection that breaks loses the block it is in
SILENT_SECONDS = 30.0  # without a byte, before a download is taken up again
PERSIST_SECONDS = 120.0  # without progress, before it is given up
STALE_SECONDS = 86_400.0
DISK_RESERVE_BYTES = 200_000_000
_SHA256 = re.compile(r"[0-9a-f]{64}")


class WrongMatrix(Exception):
    """The coordinator's matrix is not what its specification says. The message is one sentence."""


class NoRoom(Exception):
    """This host's disk, or its share for the cache, cannot hold the matrix. The message is one sentence."""


class Cache:
    """The matrices in `folder`, of `limit_bytes` together; the least recently used go first."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._opening = threading.Lock()  # between finding a file and mapping it, nobody may evict it

    def find(self, matrix: Matrix) -> Float | None:
        """`matrix` as a read-only float64 map (rows × columns); None where it is not here.

        Raises:
            WrongMatrix
        """
        check_matrix(matrix)
        return self._map(self._file(matrix), matrix)

    def open(self, matrix: Matrix, client: Client, still_wanted: Callable[[int], None]) -> Float:
        """`matrix` as `find` answers it, fetched first where it is not here yet.

        `still_wanted` is called with the bytes fetched so far, and raises to give up.

        Raises:
            WrongMatrix, NoRoom
            Unavailable, Refused: it could not be fetched.
        """
        found = self.find(matrix)
        if found is not None:
            return found
        file = self._file(matrix)
        if matrix["size_bytes"] > self.limit_bytes:
            raise NoRoom(
                f"The matrix takes {matrix['size_bytes']} bytes, more than the {self.limit_bytes} that this host's "
                "cache may hold."
            )
        # Another thread or process may be fetching the same matrix: wait for it rather than fetch it twice.
        with exclusive(self.folder / f"lock-{matrix['sha256'][:1]}"):
            found = self._map(file, matrix)
            if found is None:
                self._make_room(matrix["size_bytes"])
                _download(matrix, file, client, still_wanted)
                found = self._map(file, matrix)
        if found is None:
            raise NoRoom("The matrix was evicted from this host's cache as soon as it was fetched.")
        return found

    def drop(self, sha256: object) -> bool:
        """Delete the copy of a matrix, and what was fetched of it; False where that is no matrix's name."""
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            return False
        with self._opening:
            for suffix in (".npy", ".part"):
                (self.folder / f"{sha256}{suffix}").unlink(missing_ok=True)
        return True

    def clean(self) -> None:
        """Delete downloads that nobody took up again for a day."""
        for partial in self.folder.glob("*.part"):
            if time.time() - partial.stat().st_mtime > STALE_SECONDS:
                partial.unlink()

    def _file(self, matrix: Matrix) -> Path:
        return self.folder / f"{matrix['sha256']}.npy"

    def _map(self, file: Path, matrix: Matrix) -> Float | None:
        with self._opening:
            try:
                if file.stat().st_size != matrix["size_bytes"]:
                    file.unlink()
                    return None
                os.utime(file)
            except FileNotFoundError:
                return None
            with file.open("rb") as opened:
                check_header(opened, matrix)
                mapped = np.memmap(opened, "<f8", "r", opened.tell(), (matrix["rows"], matrix["columns"]))
        mapped.filename = str(file)  # of a file that was opened here it has none, and what lets go of pages asks for it
        return mapped

    def _make_room(self, size_bytes: int) -> None:
        """Evict until `size_bytes` more fit. A map that a fit still reads stays readable after its file is gone."""
        with self._opening:
            kept = []
            for file in (*self.folder.glob("*.npy"), *self.folder.glob("*.part")):
                found = file.stat()
                kept.append((found.st_mtime_ns, found.st_size, file))
            kept.sort()
            total = sum(size for _, size, _ in kept)
            for _, size, file in kept:
                short = total + size_bytes > self.limit_bytes
                if not short and shutil.disk_usage(self.folder).free >= size_bytes + DISK_RESERVE_BYTES:
                    break
                if file.suffix == ".npy":
                    file.unlink(missing_ok=True)
                    total -= size
        if shutil.disk_usage(self.folder).free < size_bytes:
            raise NoRoom(f"This host's disk has no room for a matrix of {size_bytes} bytes.")


def check_matrix(matrix: Matrix) -> None:
    """
    Raises:
        WrongMatrix: the numbers of `matrix` cannot be true together, or its hash is none (it becomes a file's name).
    """
    numbers = (matrix["size_bytes"], matrix["rows"], matrix["columns"])
    if not _SHA256.fullmatch(str(matrix["sha256"])) or any(type(n) is not int or n < 1 for n in numbers):
        raise WrongMatrix("The specification does not describe a matrix.")
    if matrix["size_bytes"] < matrix["rows"] * matrix["columns"] * 8:
        raise WrongMatrix("The specification's matrix is too small for its rows and columns.")


def check_header(file: IO[bytes], matrix: Matrix) -> None:
    """Check an ``.npy`` file's header against its specification before anything is mapped.

    Raises:
        WrongMatrix: another format, shape, order, dtype or size.
    """
    try:
        version = npy_format.read_magic(file)
        read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
        shape, fortran_order, dtype = read(file)
    except ValueError as problem:
        raise WrongMatrix("What the coordinator sent is no .npy file.") from problem
    rows, columns = matrix["rows"], matrix["columns"]
    as_said = shape == (rows, columns) and dtype == np.dtype("<f8")
    if not as_said or fortran_order:
        raise WrongMatrix("The coordinator's matrix differs from its specification in shape, order or dtype.")
    if file.tell() + rows * columns * 8 != matrix["size_bytes"]:
        raise WrongMatrix("The matrix that the coordinator sent differs from its specification in size.")


def _download(matrix: Matrix, file: Path, client: Client, still_wanted: Callable[[int], None]) -> None:
    """Fetch into ``<hash>.part``, going on where an earlier try ended, and rename it once its hash is right."""
    partial = file.with_suffix(".part")
    with partial.open("a+b") as into:
        taken_up = into.tell() > 0
        right = _fetch(matrix, into, client, still_wanted)
        if not right and taken_up:  # what an earlier process left may be torn: once more from the start
            into.truncate(0)
            right = _fetch(matrix, into, client, still_wanted)
        if right:
            into.seek(0)
            check_header(into, matrix)
    if not right:
        partial.unlink()
        raise WrongMatrix("The matrix that the coordinator sent does not have the hash that its specification names.")
    os.replace(partial, file)


def _fetch(matrix: Matrix, into: IO[bytes], client: Client, still_wanted: Callable[[int], None]) -> bool:
    """Fetch what `into` lacks, in as many requests as it takes; does it have the right hash then?"""
    digest = _digest_of(into)
    gives_up_at = time.monotonic() + PERSIST_SECONDS
    while (before := into.tell()) < matrix["size_bytes"]:
        try:
            _fetch_rest(matrix, into, digest, client, still_wanted)
        except (Unavailable, requests.RequestException) as problem:
            if into.tell() > before:
                gives_up_at = time.monotonic() + PERSIST_SECONDS
            elif time.monotonic() > gives_up_at:
                raise Unavailable(f"The matrix could not be fetched: {problem}") from problem
            log.info("Fetching a matrix broke off at %d bytes and is taken up again.", into.tell())
            time.sleep(0.3)
            still_wanted(into.tell())
    into.flush()
    return into.tell() == matrix["size_bytes"] and digest.hexdigest() == matrix["sha256"]


def _digest_of(file: IO[bytes]) -> "hashlib._Hash":
    """The running SHA-256 of what `file` holds already; leaves it at its end."""
    digest = hashlib.sha256()
    file.seek(0)
    while block := file.read(BLOCK_BYTES):
        digest.update(block)
    return digest


def _fetch_rest(
    matrix: Matrix, into: IO[bytes], digest: "hashlib._Hash", client: Client, still_wanted: Callable[[int], None]
) -> None:
    """Fetch what is missing in `into`, in one request."""
    start = into.tell()
    headers = {"Range": f"bytes={start}-"} if start else {}
    with client.open("GET", f"/dataset/{matrix['sha256']}", headers=headers, seconds=SILENT_SECONDS) as response:
        skip = 0
        if start and response.status_code != 206:
            skip = start  # the whole file comes: pass over what is here
        elif start and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise WrongMatrix("The coordinator sent another part of the matrix than was asked for.")
        for block in response.iter_content(FETCH_BYTES):
            passed, skip = block[skip:], max(skip - len(block), 0)
            if into.tell() + len(passed) > matrix["size_bytes"]:
                raise WrongMatrix("The coordinator sent more bytes than its specification names.")
            into.write(passed)
            digest.update(passed)
            still_wanted(into.tell())
    if into.tell() < matrix["size_bytes"]:
        into.flush()
        raise Unavailable("the connection ended early.")
