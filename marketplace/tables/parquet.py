"""Reading Parquet: flat columns in blocks of rows, within limits that are checked before anything is unpacked."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from marketplace.domain.errors import Refused
from marketplace.tables.matrix import Column, MatrixWriter
from marketplace.tables.pages import Damaged, largest_page

MAX_COLUMNS = 20_000
MAX_FOOTER_BYTES = 32 * 1024**2
MAX_UNPACKED_BYTES = 256 * 1024**2  # of a page of each column at a time, as a reader holds them
MAX_TEXT = 32_768  # characters of one cell
MAX_KEPT = 201  # characters of a cell that may be a category
BATCH_CELLS = 200_000
UNREADABLE = "The Parquet file cannot be read: it is damaged, or encrypted."


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        raise Refused(UNREADABLE) from error


def _opened(path: Path, texts: Sequence[str] = ()) -> pq.ParquetFile:
    """The file, read through a buffer: a row group is never whole in memory. Of texts each is unpacked once."""
    return pq.ParquetFile(
        path, read_dictionary=list(texts) or None, memory_map=False, buffer_size=1024**2, pre_buffer=False,
        thrift_string_size_limit=MAX_FOOTER_BYTES, thrift_container_size_limit=1_000_000,
    )  # fmt: skip


def schema_of(path: Path) -> dict[str, str]:
    """The columns' names, each with its dtype: int64, float64, bool or text.

    Raises:
        Refused: no Parquet, columns that are neither numbers nor text, or pages that unpack to too much.
    """
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - 8, 0))
        tail = file.read(8)
    if tail[4:] != b"PAR1":
        raise Refused("The file is not Parquet.")
    if int.from_bytes(tail[:4], "little") > MAX_FOOTER_BYTES:
        raise Refused("The Parquet file's footer is larger than 32 MiB; write it with fewer row groups.")
    with _refusing(), _opened(path) as file:
        schema, metadata = file.schema_arrow, file.metadata
        found = {field.name: _dtype(field) for field in schema}
        if len(found) != len(schema):
            raise Refused("Two columns of the file have the same name.")
        if not 1 <= len(found) <= MAX_COLUMNS:
            raise Refused(f"The file has {len(found):,} columns; from 1 to {MAX_COLUMNS:,} are taken.")
        if not metadata.num_rows:
            raise Refused("The data have no rows.")
        _require_small_pages(path, metadata)
    return found


def _dtype(field: pa.Field) -> str:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if pa.types.is_nested(kind):
        raise Refused(f'Column "{field.name[:80]}" is nested: write a column of plain values for each of its parts.')
    if pa.types.is_boolean(kind):
        return "bool"
    if pa.types.is_integer(kind):
        return "int64"
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind):
        return "float64"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_temporal(kind):
        return "text"
    raise Refused(f'Column "{field.name[:80]}" is {str(kind)[:40]}: columns must hold numbers, text or dates.')


def _require_small_pages(path: Path, metadata: pq.FileMetaData) -> None:
    with path.open("rb") as file:
        for group in range(metadata.num_row_groups):
            row_group, together = metadata.row_group(group), 0
            for i in range(row_group.num_columns):
                chunk = row_group.column(i)
                starts = [
                    chunk.data_page_offset,
                    *([chunk.dictionary_page_offset] if chunk.has_dictionary_page else []),
                ]
                try:
                    together += largest_page(file, min(starts), chunk.total_compressed_size)
                except (Damaged, OSError, OverflowError):
                    raise Refused(UNREADABLE) from None
            if together > MAX_UNPACKED_BYTES:
                raise Refused(
                    "The file's pages unpack to more than 256 MiB at a time: write it with smaller pages or with fewer "
                    "columns."
                )


def _batches(path: Path, names: Sequence[str], texts: Sequence[str]) -> Iterator[pa.RecordBatch]:
    with _refusing(), _opened(path, texts) as file:
        yield from file.iter_batches(max(1, BATCH_CELLS // len(names)), columns=list(names), use_threads=False)


def floats(cells: pa.Array) -> NDArray[np.float64]:
    """Numbers as float64, a missing one as NaN. Integers above 2⁵³ are rounded, as in any float64."""
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if pa.types.is_boolean(cells.type):
        cells = pc.cast(cells, pa.int8())
    return pc.cast(cells, pa.float64(), safe=False).fill_null(float("nan")).to_numpy(zero_copy_only=False)


def texts(cells: pa.Array, most: int = MAX_KEPT) -> pa.Array:
    """Cells as text of at most `most` characters: the cut comes before what many rows share is written out for each.

    Raises:
        Refused: a cell of more than `MAX_TEXT` characters.
    """
    if pa.types.is_boolean(cells.type):
        cells = pc.cast(cells, pa.int8())
    if not pa.types.is_dictionary(cells.type):
        return pc.cast(cells, pa.string())
    values = pc.cast(cells.dictionary, pa.string())
    if len(values) and (pc.max(pc.utf8_length(values)).as_py() or 0) > MAX_TEXT:
        raise Refused(f"The file holds a text of more than {MAX_TEXT:,} characters in one cell.")
    return pc.utf8_slice_codeunits(values, 0, most).take(cells.indices)


def text_batches(path: Path, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """These columns as text, in blocks of rows; a missing cell is null."""
    for batch in _batches(path, names, names):
        yield pa.RecordBatch.from_arrays([texts(batch.column(name)) for name in names], names=list(names))


def cells(path: Path) -> Iterator[tuple[Any, ...]]:
    """The cells of each row: numbers and texts; None for what is missing."""
    kinds = schema_of(path)
    named = [name for name, kind in kinds.items() if kind == "text"]
    read: dict[bool, Callable[[pa.Array], pa.Array]] = {
        True: lambda cell: texts(cell, MAX_TEXT),
        False: lambda cell: cell,
    }
    for batch in _batches(path, list(kinds), named):
        columns = [read[kinds[name] == "text"](batch.column(name)).to_pylist() for name in kinds]
        yield from zip(*columns, strict=True)


def read(path: Path, matrix: IO[bytes], max_cells: int) -> tuple[list[Column], MatrixWriter]:
    """Write the numeric columns of the Parquet file at `path` into `matrix`, in blocks.

    Raises:
        Refused: with one sentence, where the file is no such table.
    """
    kinds = schema_of(path)
    numeric = [name for name, kind in kinds.items() if kind != "text"]
    if not numeric:
        raise Refused("No column of the file is numeric.")
    places = {name: i for i, name in enumerate(numeric)}
    columns = [Column(name, kind, places.get(name)) for name, kind in kinds.items()]
    writer = MatrixWriter(matrix, len(numeric), max_cells)
    named = [column for column in columns if column.matrix_column is None]
    for batch in _batches(path, list(kinds), [column.name for column in named]):
        for column in named:
            _count_gaps(column, texts(batch.column(column.name)), writer.statistics.rows)
        writer.add(np.column_stack([floats(batch.column(name)) for name in numeric]))
    writer.finish()
    writer.statistics.fill([column for column in columns if column.matrix_column is not None])
    for column in columns:
        if column.missing and column.dtype in ("int64", "bool"):
            column.dtype = "float64"
    return columns, writer


def _count_gaps(column: Column, found: pa.Array, rows: int) -> None:
    if found.null_count:
        column.missing += found.null_count
        if column.first_missing is None:
            column.first_missing = rows + 1 + pc.index(found.is_null(), True).as_py()
