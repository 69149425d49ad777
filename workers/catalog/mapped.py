"""Matrices that are mapped files, read without holding them: the pages that were read are let go on the way.

A page of a map counts for the process that read it until it is unmapped, though the system may take it at any time. So
without this a process seems to hold, and on a small host is charged for, every matrix that it once read. What is let
go stays in the system's cache of files, and costs a look-up when it is read again.
"""

import math
import mmap
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

LEFT_BYTES = 192 << 20  # of a map that is read, of which nothing is let go: reading a GB anew costs a tenth of a second
KEPT_BYTES = 32 << 20  # read of a map before its pages are let go
LARGE_BYTES = 64 << 20  # of an array that is better a map
FAR_ROWS = 16  # each may bring 2 MiB, a large page of the system's cache
BLOCK_BYTES = 2 << 20


def _map_of(X: Float) -> np.memmap | None:
    """The map that `X` shows, if its pages hold nothing that its file does not."""
    base: object = X
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap) and isinstance(base.base, mmap.mmap):
            return base if base.mode in ("r", "r+") else None
        base = base.base
    return None


def release(X: Float) -> None:
    """Let go of what was read of the large map that `X` shows, or written into it. Of other arrays, nothing."""
    found = _map_of(X)
    if found is None or not hasattr(mmap, "MADV_DONTNEED"):
        return
    pages: mmap.mmap = found.base  # type: ignore[assignment]
    if found.mode != "r" or len(pages) > LEFT_BYTES:
        pages.madvise(mmap.MADV_DONTNEED)


def walk(X: Float, rows: int, into: Float | None = None) -> Iterator[slice]:
    """Slices of `rows` rows of `X`, in order; a map's pages are let go behind them, and those of `into` that the caller
    has written."""
    read = 0
    for start in range(0, X.shape[0], rows):
        part = slice(start, min(start + rows, X.shape[0]))
        yield part
        read += (part.stop - start) * abs(X.strides[0])
        if read >= KEPT_BYTES:
            release(X)
            if into is not None:
                release(into)
            read = 0


def take(X: Float, rows: NDArray[np.integer]) -> Float:
    """`X[rows]`, a copy; `rows` ascend. Rows far apart bring much of a map with them, which is let go."""
    if _map_of(X) is None:
        return np.asarray(X[rows])
    found, start, near = np.empty((len(rows), X.shape[1])), 0, KEPT_BYTES // max(1, abs(X.strides[0]))
    while start < len(rows):
        stop = max(start + FAR_ROWS, int(np.searchsorted(rows, rows[start] + near)))
        found[start:stop] = X[rows[start:stop]]
        release(X)
        start = stop
    return found


def some(X: Float, count: int) -> Float:
    """About `count` evenly spaced rows of `X`, a copy."""
    return take(X, np.arange(0, len(X), max(1, len(X) // count)))


def column(matrix: Float, number: int) -> Float:
    """One column of `matrix`, a copy (rows,)."""
    found = np.empty(len(matrix))
    for rows in _blocks(matrix):
        found[rows] = matrix[rows, number]
    return found


def columns(matrix: Float, numbers: Sequence[int]) -> Float:
    """These columns of `matrix`: a view where they are neighbours and half of it, else a copy; see `made`.

    Raises:
        OSError: the disk is full.
    """
    first, count = numbers[0], len(numbers)
    if list(numbers) == list(range(first, first + count)) and 2 * count >= matrix.shape[1]:
        return matrix[:, first : first + count]
    chosen, found = list(numbers), made((len(matrix), count), matrix)
    for rows in _blocks(matrix, found):
        found[rows] = matrix[rows][:, chosen]
    return found


def made(shape: tuple[int, ...], X: Float) -> Float:
    """A new array of float64, to write into.

    One of more than 64 MiB beside an `X` that is mapped is a map as well, of a file in the same folder without a name.

    Raises:
        OSError: the disk is full.
    """
    size, beside = 8 * math.prod(shape), _map_of(X)
    if size <= LARGE_BYTES or beside is None or not beside.filename:
        return np.empty(shape)
    folder = Path(beside.filename).parent
    with tempfile.TemporaryFile(dir=folder if os.access(folder, os.W_OK) else None) as file:
        if hasattr(os, "posix_fallocate"):  # a map that the disk has no room for ends the process that writes
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
        found = np.memmap(file, np.float64, "r+", shape=shape)
    found.filename = beside.filename
    return found


def _blocks(matrix: Float, into: Float | None = None) -> Iterator[slice]:
    return walk(matrix, max(1, BLOCK_BYTES // max(1, 8 * matrix.shape[1])), into)
