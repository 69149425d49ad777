"""The rows of a table in blocks, numbers as floats and texts as they are: a stored one's, or what comes to a model.

A stored table's numbers are read out of its matrix, which is quicker than its file; only texts are parsed again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from marketplace.domain.errors import Refused
from marketplace.tables import csv_head, delimited, parquet
from marketplace.tables.arrays import BLOCK_CELLS, open_array, read_header

Mask = NDArray[np.bool_]
ARRAYS = ("npy", "npz")


@dataclass(frozen=True)
class Block:
    """Neighbouring rows. `numbers` is (rows, columns) with NaN for gaps; `texts` has an array with nulls a column."""

    numbers: NDArray[np.float64]
    texts: dict[str, pa.Array]

    def __len__(self) -> int:
        return len(self.numbers)

    def where(self, mask: Mask) -> "Block":
        chosen = pa.array(mask)
        return Block(self.numbers[mask], {name: cells.filter(chosen) for name, cells in self.texts.items()})

    def parts(self, rows: int) -> Iterator["Block"]:
        """The same in pieces of at most `rows` rows, of which there is always one."""
        for start in range(0, max(len(self), 1), rows):
            texts = {name: cells.slice(start, rows) for name, cells in self.texts.items()}
            yield Block(self.numbers[start : start + rows], texts)


@dataclass(frozen=True)
class Stored:
    """A table of the network's: the file as it was brought, and its matrix. `places` maps numeric columns to it."""

    upload: Path
    matrix: Path
    format: str
    places: dict[str, int]

    def blocks(self, numeric: Sequence[str], texts: Sequence[str]) -> Iterator[Block]:
        """All rows, with these columns."""
        with self.matrix.open("rb") as file:
            numbers = _Numbers(file, self.matrix.stat().st_size, [self.places[name] for name in numeric])
            if not texts:
                while len(block := numbers.take(numbers.suits)):
                    yield Block(block, {})
                return
            for batch in text_batches(self.upload, self.format, texts):
                found = {name: tidy(batch.column(name)) for name in texts}
                yield Block(numbers.take(batch.num_rows), found)


class _Numbers:
    """Some columns of a matrix's file, read from its first row to its last. `suits` rows make a block of good size."""

    def __init__(self, file: IO[bytes], size_bytes: int, columns: list[int]) -> None:
        header = read_header(file, size_bytes)
        self.left, self.width = header.shape
        self.file, self.dtype, self.columns = file, header.dtype, columns
        self.suits = max(1, BLOCK_CELLS // self.width)

    def take(self, count: int) -> NDArray[np.float64]:
        """The next `count` rows, or as many as are left."""
        count = min(count, self.left)
        block = np.empty((count, len(self.columns)))
        for start in range(0, count, self.suits):  # the matrix may be far wider than what is wanted of it
            cells = np.fromfile(self.file, self.dtype, min(self.suits, count - start) * self.width)
            block[start : start + self.suits] = cells.reshape(-1, self.width)[:, self.columns]
        self.left -= count
        return block


def cells(table: Stored) -> Iterator[Sequence[Any]]:
    """The cells of each row of a table as it was brought: of a text file as they are written, of an array numbers."""
    if table.format == "csv":
        yield from delimited.cells(table.upload)
        return
    if table.format == "parquet":
        yield from parquet.cells(table.upload)
        return
    for block in table.blocks(list(table.places), []):
        yield from block.numbers.tolist()


def text_batches(path: Path, file_format: str, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """These columns of a file as text, in blocks of rows; a missing cell is null."""
    if file_format == "csv":
        return delimited.text_batches(path, names)
    if file_format == "parquet":
        return parquet.text_batches(path, names)
    raise Refused("Arrays hold no text.")


def tidy(cells: pa.Array) -> pa.Array:
    """Texts without the blanks around them; nothing but blanks is a gap."""
    cells = pc.utf8_trim_whitespace(cells)
    return pc.if_else(pc.equal(cells, ""), pa.scalar(None, pa.string()), cells)


def brought(
    path: Path, file_format: str, numeric: Sequence[str], texts: Sequence[str], order: Sequence[str], known: set[str]
) -> Iterator[Block]:
    """All rows of a file that was brought to a model, with these columns.

    A table must have them all by name, and none that is not `known`; an array has those of `order`, by place.

    Raises:
        Refused: with one sentence; a column too few or too many, or a cell that is no number.
    """
    if file_format in ARRAYS:
        if texts:
            raise Refused(f'Column "{texts[0][:80]}" holds texts, and arrays have none: bring the rows as a table.')
        yield from _of_array(path, numeric, order)
        return
    names = list(parquet.schema_of(path)) if file_format == "parquet" else csv_head.read_shape(path).names
    there = set(names)
    lacking = [name for name in order if name not in there]
    if lacking:
        raise Refused(f'The rows lack the column "{lacking[0][:80]}", which the model was fitted on.')
    strange = [name for name in names if name not in known]
    if strange:
        raise Refused(f'The rows have a column "{strange[0][:80]}", which the fitted table had not: leave it out.')
    done = 0
    wanted = [*numeric, *texts]
    parquets = file_format == "parquet"
    for batch in parquet.text_batches(path, wanted, numeric) if parquets else delimited.text_batches(path, wanted):
        numbers = np.empty((batch.num_rows, len(numeric)))
        for i, name in enumerate(numeric):
            numbers[:, i] = _numbers_of(batch.column(name), name, done)
        yield Block(numbers, {name: tidy(batch.column(name)) for name in texts})
        done += batch.num_rows


def _of_array(path: Path, numeric: Sequence[str], order: Sequence[str]) -> Iterator[Block]:
    table = open_array(path)
    if table.ndim != 2 or table.shape[1] != len(order):
        raise Refused(f"The model takes {len(order):,} columns; the array must be of that many columns and of rows.")
    place = {name: i for i, name in enumerate(order)}
    places = [place[name] for name in numeric]
    step = max(1, BLOCK_CELLS // table.shape[1])
    for start in range(0, len(table), step):
        numbers = np.asarray(table[start : start + step], dtype=np.float64)[:, places]
        if np.isinf(numbers).any():
            row, column = np.argwhere(np.isinf(numbers))[0]
            raise Refused(f'Row {start + row + 1:,} is infinite in column "{numeric[column][:80]}".')
        yield Block(numbers, {})


def _numbers_of(cells: pa.Array, name: str, done: int) -> NDArray[np.float64]:
    cells = cells if pa.types.is_floating(cells.type) else tidy(cells)
    try:
        found = pc.cast(cells, pa.float64()).fill_null(float("nan")).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        found = None
    if found is not None and not np.isinf(found).any():
        return found
    for row, cell in enumerate(pc.cast(cells, pa.string()).to_pylist(), done + 1):
        if cell is not None and not csv_head.is_finite_number(cell):
            raise Refused(f'Row {row:,}, column "{name[:80]}" holds {cell[:40]!r}, which is not a finite number.')
    raise Refused(f'Column "{name[:80]}" holds something that is not a finite number.')
