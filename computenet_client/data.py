"""What a client brings (arrays, frames, lists, files) as one file whose bytes depend on the content alone."""

import hashlib
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from computenet_client import frames
from computenet_client.columns import Column, place
from computenet_client.errors import Refused

IN_MEMORY_BYTES = 16 * 1024**2
BLOCK_BYTES = 1024**2
SUFFIXES = (".csv", ".parquet", ".npy", ".npz")


@dataclass(frozen=True)
class Dataset:
    """A dataset that the network has. `id` is the SHA-256 of its file."""

    id: str
    rows: int
    columns: tuple[str, ...]
    text_columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Upload:
    """A file to send, and its SHA-256.

    `names` are the columns of a frame whose names stay here, `written` those of one that is sent with them; both ()
    otherwise. `table` (rows × columns) and `target` (rows,) are what an array's file holds, where it was made here.
    `categories` are the columns of `written` that hold numbers and are categories in the frame.
    """

    file: IO[bytes]
    filename: str
    sha256: str
    names: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    table: NDArray[Any] | None = None
    target: NDArray[Any] | None = None


@contextmanager
def prepared(
    X: Any, y: Any = None, chosen: Sequence[Column] | None = None, *, as_table: bool = False
) -> Iterator[Upload]:
    """`X` (rows × columns) and perhaps `y` (rows,) as an open file.

    A path to a ``.csv``, ``.parquet``, ``.npy`` or ``.npz`` file is sent as it is. A pandas or polars frame is sent as
    numbers, its columns' names stay here; of its columns, `chosen` limits what is sent. With `as_table` it is sent as
    CSV with its names, texts and gaps; `y` is then its last column. Everything else becomes an array.

    Raises:
        Refused: what cannot be a table of numbers.
    """
    if isinstance(X, str | PathLike):
        if y is not None:
            raise Refused("Beside a file, y cannot be given: name the file's column with target=.")
        path = Path(X)
        if path.suffix.lower() not in SUFFIXES:
            raise Refused(f"{path.name} must end in .csv, .parquet, .npy or .npz.")
        if not path.is_file():
            raise Refused(f"There is no file {path}.")
        with path.open("rb") as source:
            yield Upload(source, path.name, digest(source))
        return
    names: tuple[str, ...] = ()
    if is_frame(X) and as_table:
        made = frames.Table.of(X, y, chosen)
        with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES) as file:
            made.write(file)
            yield Upload(file, "data.csv", digest(file), written=made.names, categories=made.categories)
        return
    if is_frame(X):
        names, table = from_frame(X, chosen)
    else:
        table = numbers(X, "X")
    with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES) as file:
        if y is None:
            np.lib.format.write_array(file, table, allow_pickle=False)
            yield Upload(file, "data.npy", digest(file), names, table=table)
        else:
            target = numbers(y, "y").reshape(-1)
            write_archive(file, {"X": table, "y": target})
            yield Upload(file, "data.npz", digest(file), names, table=table, target=target)


def digest(file: IO[bytes]) -> str:
    """The SHA-256 of the whole file, in hexadecimal; the file then stands at its beginning."""
    found = hashlib.sha256()
    file.seek(0)
    while block := file.read(BLOCK_BYTES):
        found.update(block)
    file.seek(0)
    return found.hexdigest()


def is_frame(table: Any) -> bool:
    """Is it a table with named columns, as those of pandas and polars are?"""
    return hasattr(table, "columns") and hasattr(table, "to_numpy") and hasattr(table, "__getitem__")


def from_frame(frame: Any, chosen: Sequence[Column] | None = None) -> tuple[tuple[str, ...], NDArray[Any]]:
    """The names of a frame's columns, and the columns as one array; those of `chosen` alone where it is given.

    Raises:
        Refused: a column that the frame has not, or that does not hold numbers.
    """
    names = [str(name) for name in frame.columns]
    if len(set(names)) != len(names):
        raise Refused("Two columns of the frame have the same name; rename one.")
    kept = [place(key, names) for key in chosen] if chosen is not None else range(len(names))
    if len(set(kept)) != len(kept):
        raise Refused("A column is named twice, or is also the target.")
    columns = []
    for i in kept:
        try:
            columns.append(numbers(frame[frame.columns[i]], names[i]))
        except Refused:
            raise Refused(
                f'Column "{names[i][:80]}" does not hold numbers: leave it out, or give a recipe, which makes '
                "categories of text."
            ) from None
    if not columns:
        raise Refused("The frame has no columns.")
    return tuple(names[i] for i in kept), numbers(np.column_stack(columns), "X")


def wanted(columns: Sequence[Column] | None, target: Column | None) -> list[Column] | None:
    """Which columns of a frame a job needs; None for all."""
    return None if columns is None else [*columns, *([] if target is None else [target])]


def numbers(values: Any, name: str) -> NDArray[Any]:
    """An array of plain numbers of at most 64 bits, C-ordered, in this machine's byte order.

    Raises:
        Refused: text, objects, complex or sparse data.
    """
    if hasattr(values, "toarray"):
        raise Refused(f"{name} is sparse, which the network does not take: give {name}.toarray() if it fits.")
    try:
        found = np.asarray(values)
        if found.dtype.kind == "O":
            found = found.astype(np.float64)
    except (TypeError, ValueError):
        raise Refused(f"{name} must be a table of numbers, its rows equally long.") from None
    if found.dtype.kind not in "biuf":
        raise Refused(f"{name} must hold real numbers; it holds {found.dtype}.")
    if found.dtype.itemsize > 8:
        found = found.astype(np.float64)
    return np.ascontiguousarray(found, dtype=found.dtype.newbyteorder("="))


def write_archive(file: IO[bytes], arrays: dict[str, NDArray[Any]]) -> None:
    """Write an ``.npz`` archive; unlike `numpy.savez`, without the time, so that equal arrays give equal bytes."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            with archive.open(info, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def read_archive(file: IO[bytes]) -> dict[str, NDArray[Any]]:
    """The arrays of an ``.npz`` archive; never a pickle.

    Raises:
        Refused: the file is none.
    """
    file.seek(0)
    try:
        with np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, AttributeError):
        raise Refused("The file is not an .npz archive of numeric arrays.") from None
