"""Reading CSV: UTF-8, with or without a header, separated by comma, semicolon or tab."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from marketplace.domain.errors import Refused
from marketplace.tables import csv_blocks
from marketplace.tables.csv_blocks import Extent, parse, parse_texts, row_blocks, scan
from marketplace.tables.csv_head import DECIMAL_COMMA, DECIMAL_COMMA_REFUSED, Shape, read_shape
from marketplace.tables.matrix import Block, Column, MatrixWriter, require_short_names

CELLS_AT_ONCE = 50_000  # that are Python objects
KINDS = {"int64": pa.int64(), "float64": pa.float64(), "text": pa.string()}


def text_batches(path: Path, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """These columns of the CSV at `path` as text, in blocks of rows; a missing cell is null."""
    return csv_blocks.text_batches(path, read_shape(path), scan(path), names)


def cells(path: Path) -> Iterator[tuple[str, ...]]:
    """The cells of each row of the CSV at `path`, as they are written there."""
    shape = read_shape(path)
    for batch in csv_blocks.text_batches(path, shape, scan(path), shape.names, missing=[]):
        step = max(1, CELLS_AT_ONCE // len(shape.names))
        for start in range(0, batch.num_rows, step):
            part = batch.slice(start, step)
            yield from zip(*(column.to_pylist() for column in part.columns), strict=True)


class _Reading:
    """What is known of each column while blocks of rows are read: its kind so far, its gaps and the first of them.

    A column is int64 until a cell says float64, and one that is no number makes it text for good.
    """

    def __init__(self, shape: Shape, kinds: Mapping[str, str] | None = None) -> None:
        self.shape, self.rows = shape, 0
        self.kinds = dict.fromkeys(shape.names, "int64") if kinds is None else dict(kinds)
        self.gaps: dict[str, tuple[int, int]] = {}

    @property
    def place(self) -> dict[str, int]:
        """Each numeric column's place in the matrix."""
        numeric = (name for name, kind in self.kinds.items() if kind != "text")
        return {name: i for i, name in enumerate(numeric)}

    @property
    def texts(self) -> list[str]:
        return [name for name, kind in self.kinds.items() if kind == "text"]

    def columns(self) -> list[Column]:
        place = self.place
        return [
            Column(
                name,
                "float64" if kind == "int64" and name in self.gaps else kind,
                place.get(name),
                *self.gaps.get(name, (0, None)),
            )
            for name, kind in self.kinds.items()
        ]

    def block(self, rows: bytes) -> Block:
        """The next rows' cells of the columns that are numeric still, NaN for gaps.

        Raises:
            Refused: the rows are no CSV.
        """
        found = self._typed(rows)
        if found is None:
            batch = parse_texts(rows, self.shape, self.shape.names, self.rows)
            found = {name: self._number(name, batch.column(name)) for name in self.shape.names}
        count = len(next(iter(found.values())))
        for name, cells in found.items():
            if cells.null_count:
                missing, first = self.gaps.get(name) or (0, self.rows + 1 + pc.index(cells.is_null(), True).as_py())
                self.gaps[name] = (missing + cells.null_count, first)
        self.rows += count
        place = self.place
        block = np.empty((count, len(place)))
        for name, i in place.items():
            cells = pc.cast(found[name], pa.float64(), safe=False)  # an integer above 2⁵³ is rounded
            block[:, i] = cells.fill_null(float("nan")).to_numpy(zero_copy_only=False)
        return block

    def _typed(self, rows: bytes) -> dict[str, pa.Array] | None:
        """All columns of the kinds that they have so far, which is quick; None where a cell is of another."""
        if b"0x" in rows or b"0X" in rows:  # for Arrow 0x10 is an integer, and no float
            return None
        try:
            batch = parse(rows, self.shape, {name: KINDS[kind] for name, kind in self.kinds.items()})
        except pa.ArrowInvalid:
            return None
        return dict(zip(batch.schema.names, batch.columns, strict=True))

    def _number(self, name: str, cells: pa.Array) -> pa.Array:
        """The cells as what the column is from now on."""
        if self.kinds[name] == "text":
            return cells
        trimmed = pc.utf8_trim_whitespace(cells)
        trimmed = pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)  # blanks alone are a gap
        try:
            # First: as an integer, Arrow also takes 0x10, which no float may be.
            numbers = pc.cast(trimmed, pa.float64())
        except pa.ArrowInvalid:
            self.kinds[name] = "text"
            return cells
        if self.kinds[name] == "int64":
            try:
                return pc.cast(trimmed, pa.int64())
            except pa.ArrowInvalid:
                self.kinds[name] = "float64"
        return numbers


def _refuse_columns_with_commas(path: Path, shape: Shape, extent: Extent, text: list[str]) -> None:
    """Refuse the file by the first of the `text` columns that is nothing but numbers with commas in its first block.

    Raises:
        Refused: it would be text, and go missing from the fit without a word.
    """
    if not text:
        return
    batch = next(csv_blocks.text_batches(path, shape, extent, text))
    for name in text:
        cells = batch.column(name).drop_null()
        if len(cells) and pc.all(pc.match_substring_regex(cells, DECIMAL_COMMA)).as_py():
            raise Refused(DECIMAL_COMMA_REFUSED.format(f'column "{name[:80]}"'))


def read(path: Path, matrix: IO[bytes], max_cells: int) -> tuple[list[Column], MatrixWriter]:
    """Write the numeric columns of the CSV at `path` into `matrix`, in blocks.

    Once through the file, and once more where a column turned out to be text behind the first block.

    Raises:
        Refused: with one sentence, where the file is no such table.
    """
    shape, extent = read_shape(path), scan(path)
    require_short_names(shape.names)
    reading = _Reading(shape)
    writer = _write_early(path, extent, reading, matrix, max_cells)
    if writer is None:  # which columns are numeric is known now
        reading = _Reading(shape, reading.kinds)
        writer = _begin(matrix, reading, max_cells)
        for rows in row_blocks(path, shape, extent):
            writer.add(reading.block(rows))
    writer.finish()
    columns = reading.columns()
    writer.statistics.fill([column for column in columns if column.matrix_column is not None])
    return columns, writer


def _write_early(
    path: Path, extent: Extent, reading: _Reading, matrix: IO[bytes], max_cells: int
) -> MatrixWriter | None:
    """Read the whole file, and write the columns that are numeric in its first block as long as they stay so.

    None where they did not, or where one holds what no matrix may: it may yet turn out to be text.

    Raises:
        Refused: what is wrong whatever the columns are.
    """
    writer, whole = None, True
    for rows in row_blocks(path, reading.shape, extent):
        block = reading.block(rows)
        if writer is None:
            _refuse_columns_with_commas(path, reading.shape, extent, reading.texts)
            writer = _begin(matrix, reading, max_cells)
        if not reading.place:
            raise Refused("No column of the file is numeric.")
        try:
            if whole := whole and writer.columns == len(reading.place):
                writer.add(block)
        except Refused:
            whole = False
    return writer if whole else None


def _begin(matrix: IO[bytes], reading: _Reading, max_cells: int) -> MatrixWriter:
    """A writer of the columns that are numeric so far, from the matrix's first byte on."""
    matrix.seek(0)
    matrix.truncate()
    return MatrixWriter(matrix, list(reading.place), max_cells)
