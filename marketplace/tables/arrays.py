"""Reading ``.npy`` and ``.npz``: plain numeric arrays, whose headers are believed only as far as the bytes bear out."""

import io
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from marketplace import storage
from marketplace.domain.errors import Refused
from marketplace.tables.matrix import Column, MatrixWriter
from workers.catalog.mapped import walk

BLOCK_CELLS = 1_000_000
MAX_COLUMNS = 20_000
MAX_HEADER_BYTES = 10_000
MAX_DIRECTORY_BYTES = storage.CHUNK_BYTES


@dataclass(frozen=True)
class Header:
    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype
    offset: int  # bytes before the data


def read_header(file: IO[bytes], size_bytes: int) -> Header:
    """The header of an ``.npy`` file of `size_bytes`, from its beginning.

    Raises:
        Refused: not ``.npy``, objects or other than plain numbers, or a shape that the bytes do not bear out.
    """
    try:
        version = np.lib.format.read_magic(file)
        said = file.read({(1, 0): 2, (2, 0): 4}[version])  # how long the header is
        header = file.read(min(int.from_bytes(said, "little"), MAX_HEADER_BYTES + 1))
        shape, fortran_order, dtype = _parsed(version, said + header)
    except (KeyError, ValueError, EOFError, TypeError, SyntaxError, MemoryError, RecursionError, OverflowError):
        raise Refused("The file is not a .npy array.") from None
    if dtype.kind not in "biuf" or dtype.itemsize > 8 or dtype.fields:
        raise Refused("The array must hold plain numbers (integers, floats up to 64 bits, or booleans), never objects.")
    count = 1
    for length in shape:
        count *= length  # Python's integers: no overflow to hide behind
    offset = file.tell()
    if any(length < 0 for length in shape) or count * dtype.itemsize != size_bytes - offset:
        raise Refused("The array's header does not fit the bytes that came.")
    return Header(tuple(shape), fortran_order, dtype, offset)


@lru_cache(256)
def _parsed(version: tuple[int, int], header: bytes) -> tuple[tuple[int, ...], bool, np.dtype]:
    """What a header says after its magic. Arrays of one shape have one header, and reading it runs Python's parser."""
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(io.BytesIO(header), max_header_size=MAX_HEADER_BYTES)


def open_array(path: Path) -> NDArray:
    """The array in an ``.npy`` file, mapped and not read."""
    with path.open("rb") as file:
        header = read_header(file, path.stat().st_size)
    if 0 in header.shape:
        raise Refused("The array is empty.")
    shape = header.shape or (1,)
    return np.memmap(path, header.dtype, "r", header.offset, shape, "F" if header.fortran_order else "C")


def _dtype_name(dtype: np.dtype) -> str:
    return {"b": "bool", "i": "int64", "u": "int64"}.get(dtype.kind, "float64")


def write(X: NDArray, y: NDArray | None, matrix: IO[bytes], max_cells: int) -> tuple[list[Column], MatrixWriter]:
    """Write `X` (rows, columns) or (rows,), and `y` (rows,) as its last column, into `matrix` in blocks.

    Raises:
        Refused: other numbers of dimensions, lengths that differ, too many columns or cells.
    """
    if X.ndim == 1:
        X = X[:, None]
    if X.ndim != 2:
        raise Refused(f"The array must have 2 dimensions, rows and columns; it has {X.ndim}.")
    if y is not None and y.shape != (len(X),):
        raise Refused(f"y must be one number for each of the {len(X):,} rows of X; its shape is {y.shape}.")
    width = X.shape[1] + (y is not None)
    if X.shape[1] > MAX_COLUMNS:
        raise Refused(f"The array has {X.shape[1]:,} columns; at most {MAX_COLUMNS:,} are taken.")
    columns = [Column(f"column_{i}", _dtype_name(X.dtype), i) for i in range(X.shape[1])]
    if y is not None:
        columns.append(Column("y", _dtype_name(y.dtype), width - 1))
    writer = MatrixWriter(matrix, [column.name for column in columns], max_cells)
    step = max(1, BLOCK_CELLS // max(width, 1))
    for start in range(0, len(X), step):
        block = np.empty((len(X[start : start + step]), width))
        block[:, : X.shape[1]] = X[start : start + step]
        if y is not None:
            block[:, -1] = y[start : start + step]
        writer.add(block)
    writer.finish()
    writer.statistics.fill(columns)
    return columns, writer


def read(path: Path, matrix: IO[bytes], max_cells: int) -> tuple[list[Column], MatrixWriter]:
    """Write the array of the ``.npy`` file at `path` into `matrix`."""
    return write(open_array(path), None, matrix, max_cells)


class _SmallReads(io.BufferedReader):
    """A file that is only read in pieces: `zipfile` reads an archive's whole directory at once, however long."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            content = super().read(MAX_DIRECTORY_BYTES + 1)
            if len(content) > MAX_DIRECTORY_BYTES:
                raise zipfile.BadZipFile("its directory is too long")
            return content
        if size > MAX_DIRECTORY_BYTES:
            raise zipfile.BadZipFile("its directory is too long")
        return super().read(size)


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """The zip archive at `path`; one with a directory of more than a MiB is no archive of arrays.

    Raises:
        zipfile.BadZipFile
    """
    with _SmallReads(io.FileIO(path)) as file, zipfile.ZipFile(file) as archive:
        yield archive


def read_archive(path: Path, matrix: IO[bytes], max_cells: int) -> tuple[list[Column], MatrixWriter]:
    """Write the arrays of the ``.npz`` file at `path`, `X` and perhaps `y`, or a single one, into `matrix`.

    What a member says of its size is not believed: inflating stops at the most that is taken.
    """
    limit = max_cells * 8 + MAX_HEADER_BYTES
    try:
        with open_archive(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            if len(members) > 2 or len(members) != len(archive.infolist()) or not members:
                raise Refused('The archive must hold one array, or two that are named "X" and "y".')
            if len(members) == 2 and set(members) != {"X", "y"}:
                raise Refused('The archive must hold one array, or two that are named "X" and "y".')
            if any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in members.values()):
                raise Refused("The archive must be stored or deflated, as numpy.savez and numpy.savez_compressed do.")
            return _write_members(archive, members, matrix, max_cells, limit)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise Refused(f"The .npz archive cannot be read: {str(error)[:120] or 'it is damaged'}.") from None


def _write_members(
    archive: zipfile.ZipFile,
    members: Mapping[str, zipfile.ZipInfo],
    matrix: IO[bytes],
    max_cells: int,
    limit: int,
) -> tuple[list[Column], MatrixWriter]:
    arrays = {}
    reserved = isinstance(matrix, storage.Reserved)
    with storage.temporary(reserved=reserved) as x_file, storage.temporary(reserved=reserved) as y_file:
        for name, file in zip(sorted(members), (x_file, y_file), strict=False):
            with archive.open(members[name]) as source:
                size = 0
                while chunk := source.read(storage.CHUNK_BYTES):
                    size += len(chunk)
                    if size > limit:
                        raise Refused(f"The archive holds more than {max_cells:,} numbers.")
                    file.write(chunk)
            file.flush()
            arrays[name] = open_array(Path(file.name))
        X = arrays.pop("X", None)
        y = arrays.pop("y", None)
        if X is None:
            X, y = (y if y is not None else arrays.popitem()[1]), None
        return write(X, y, matrix, max_cells)


def save_archive(file: IO[bytes], named: Mapping[str, NDArray]) -> None:
    """Write arrays as an ``.npz`` archive whose bytes depend on them alone (`numpy.savez` also writes the time)."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in named.items():
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            with archive.open(info, "w", force_zip64=True) as member:
                plain = np.asarray(array, order="C")
                if plain.ndim == 0 or plain.dtype.kind not in "biuf":
                    np.lib.format.write_array(member, plain, allow_pickle=False)
                    continue
                np.lib.format.write_array_header_1_0(member, np.lib.format.header_data_from_array_1_0(plain))
                for rows in walk(plain, max(1, storage.CHUNK_BYTES // max(1, plain[:1].nbytes))):
                    member.write(np.ascontiguousarray(plain[rows]).data)
