"""Reading Parquet: flat columns in blocks of rows, within limits that are checked before anything is unpacked."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from marketplace.domain.errors import Refused
from marketplace.tables.matrix import Column, MatrixWriter, require_short_names
from marketplace.tables.pages import Damaged, Page, read_pages

MAX_COLUMNS = 20_000
MAX_FOOTER_BYTES = 32 * 1024**2
MAX_UNPACKED_BYTES = 256 * 1024**2  # of a page of each column at a time, as a reader holds them
MAX_TEXT = 32_768  # characters of one cell
MAX_KEPT = 201  # characters of a cell that may be a category
BATCH_CELLS = 200_000
BATCH_BYTES = 64 * 1024**2
MAX_PAGES = 500_000
MAX_CHUNKS = 1_000_000  # and anything else that the footer lists
DELTA_BYTE_ARRAY = 7  # of a text only what differs from the one before is written, so a small page may hold any size
UNREADABLE = "The Parquet file cannot be read: it is damaged, or encrypted."
PREFIXES = "The file has a column in the encoding DELTA_BYTE_ARRAY, which is not taken: write it plain."
PROBE_SECONDS = 60.0
# Some footers make Arrow end the process that asks for a column chunk: its exception passes through pyarrow uncaught.
PROBE = f"""
import resource, sys
import pyarrow.parquet as pq
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
limits = {{"thrift_string_size_limit": {MAX_FOOTER_BYTES}, "thrift_container_size_limit": {MAX_CHUNKS}}}
metadata = pq.ParquetFile(sys.argv[1], **limits).metadata
for group in map(metadata.row_group, range(metadata.num_row_groups)):
    for i in range(group.num_columns):
        group.column(i)
"""
NO_TEXT = "The file holds a text that is not UTF-8, or a moment in a time zone that is not known."


@contextmanager
def _refusing(sentence: str = UNREADABLE) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        raise Refused(sentence) from error


def _opened(path: Path, texts: Sequence[str] = ()) -> pq.ParquetFile:
    """The file, read through a buffer: a row group is never whole in memory. Of texts each is unpacked once."""
    return pq.ParquetFile(
        path, read_dictionary=list(texts) or None, memory_map=False, buffer_size=1024**2, pre_buffer=False,
        thrift_string_size_limit=MAX_FOOTER_BYTES, thrift_container_size_limit=MAX_CHUNKS,
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
    _probe(path)
    return _schema(path)


def _probe(path: Path) -> None:
    """Have another process look through the footer first.

    Raises:
        Refused: it ended.
    """
    command = [sys.executable, "-I", "-c", PROBE, str(path)]
    try:
        subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=PROBE_SECONDS)
    except subprocess.SubprocessError:
        raise Refused(UNREADABLE) from None


def _schema(path: Path) -> dict[str, str]:
    """`schema_of` a file whose footer was looked through once."""
    with _refusing(), _opened(path) as file:
        schema, metadata = file.schema_arrow, file.metadata
        found = {field.name: _dtype(field) for field in schema}
        if any("\0" in name for name in found):
            raise Refused("The name of a column holds a NUL character.")
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


def _pages(file: IO[bytes], chunk: pq.ColumnChunkMetaData) -> Iterator[Page]:
    starts = [chunk.data_page_offset, *([chunk.dictionary_page_offset] if chunk.has_dictionary_page else [])]
    return read_pages(file, min(starts), chunk.total_compressed_size)


def _require_small_pages(path: Path, metadata: pq.FileMetaData) -> None:
    pages = 0
    with path.open("rb") as file:
        for group in range(metadata.num_row_groups):
            row_group, together = metadata.row_group(group), 0
            for i in range(row_group.num_columns):
                largest = 0
                try:
                    for page in _pages(file, row_group.column(i)):
                        pages += 1
                        largest = max(largest, page.unpacked_bytes, page.packed_bytes)
                        if page.encoding == DELTA_BYTE_ARRAY and not page.is_dictionary:
                            raise Refused(PREFIXES)
                        if pages > MAX_PAGES:
                            raise Refused(f"The file has more than {MAX_PAGES:,} pages: write it with larger ones.")
                except (Damaged, OSError, OverflowError):
                    raise Refused(UNREADABLE) from None
                together += largest
            if together > MAX_UNPACKED_BYTES:
                raise Refused(
                    "The file's pages unpack to more than 256 MiB at a time: write it with smaller pages or with fewer "
                    "columns."
                )


def _rows_at_once(path: Path, metadata: pq.FileMetaData, names: Sequence[str]) -> int:
    """How many rows a batch has, so that it unpacks to about `BATCH_BYTES` wherever in the file it lies.

    A reader holds every different text of a batch, of as many pages as it takes.
    """
    row_bytes, wanted = dict.fromkeys(names, 0), set(names)
    with path.open("rb") as file:
        for group in range(metadata.num_row_groups):
            row_group = metadata.row_group(group)
            for chunk in (row_group.column(i) for i in range(row_group.num_columns)):
                if chunk.path_in_schema not in wanted:
                    continue
                shared = each = 0
                for page in _pages(file, chunk):
                    if page.is_dictionary:
                        shared += page.unpacked_bytes // max(row_group.num_rows, 1)
                    else:
                        each = max(each, page.unpacked_bytes // max(page.values, 1))
                row_bytes[chunk.path_in_schema] = max(row_bytes[chunk.path_in_schema], shared + each)
    return max(1, min(BATCH_CELLS // len(names), BATCH_BYTES // max(sum(row_bytes.values()), 1)))


def _batches(path: Path, names: Sequence[str], texts: Sequence[str]) -> Iterator[pa.RecordBatch]:
    with _refusing(), _opened(path, texts) as file:
        rows = _rows_at_once(path, file.metadata, names)
        yield from file.iter_batches(rows, columns=list(names), use_threads=False)


def floats(cells: pa.Array) -> NDArray[np.float64]:
    """Numbers as float64, a missing one as NaN. Integers above 2⁵³ are rounded, as in any float64."""
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if pa.types.is_boolean(cells.type):
        cells = pc.cast(cells, pa.int8())
    return pc.cast(cells, pa.float64(), safe=False).fill_null(float("nan")).to_numpy(zero_copy_only=False)


@_refusing(NO_TEXT)
def texts(cells: pa.Array, most: int = MAX_KEPT) -> pa.Array:
    """Cells as text of at most `most` characters: the cut comes before what many rows share is written out for each.

    Raises:
        Refused: a cell of more than `MAX_TEXT` characters.
    """
    if pa.types.is_boolean(cells.type):
        cells = pc.cast(cells, pa.int8())
    if not pa.types.is_dictionary(cells.type):
        return _strings(cells)
    return pc.utf8_slice_codeunits(_values(cells), 0, most).take(cells.indices)


@_refusing(NO_TEXT)
def _strings(cells: pa.Array) -> pa.Array:
    found = pc.cast(cells, pa.string())
    found.validate(full=True)  # a cast to what they are already looks at nothing
    return found


def _values(cells: pa.Array) -> pa.Array:
    values = _strings(cells.dictionary)
    if len(values) and (pc.max(pc.utf8_length(values)).as_py() or 0) > MAX_TEXT:
        raise Refused(f"The file holds a text of more than {MAX_TEXT:,} characters in one cell.")
    return values


def text_batches(path: Path, names: Sequence[str], numeric: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
    """These columns as text, in blocks of rows; a missing cell is null.

    Of them, those that are `numeric` and hold numbers come as float64, the same as `read` makes of them.
    """
    numbers = set(numeric)
    for batch in _batches(path, names, names):
        found = []
        for name in names:
            plain = name in numbers and _dtype(batch.schema.field(name)) != "text"
            found.append(pa.array(floats(batch.column(name))) if plain else texts(batch.column(name)))
        yield pa.RecordBatch.from_arrays(found, names=list(names))


def cells(path: Path) -> Iterator[tuple[Any, ...]]:
    """The cells of each row: numbers and texts; None for what is missing."""
    kinds = _schema(path)
    named = [name for name, kind in kinds.items() if kind == "text"]
    for batch in _batches(path, list(kinds), named):
        columns = [
            _shared(batch.column(name)) if kind == "text" else batch.column(name).to_pylist()
            for name, kind in kinds.items()
        ]
        yield from zip(*columns, strict=True)


def _shared(cells: pa.Array) -> list[str | None]:
    """Cells as text, where rows with the same text hold the same object."""
    if not pa.types.is_dictionary(cells.type):
        return texts(cells).to_pylist()
    values = _values(cells).to_pylist()
    return [None if place is None else values[place] for place in cells.indices.to_pylist()]


def read(path: Path, matrix: IO[bytes], max_cells: int) -> tuple[list[Column], MatrixWriter]:
    """Write the numeric columns of the Parquet file at `path` into `matrix`, in blocks.

    Raises:
        Refused: with one sentence, where the file is no such table.
    """
    kinds = schema_of(path)
    require_short_names(kinds)
    numeric = [name for name, kind in kinds.items() if kind != "text"]
    if not numeric:
        raise Refused("No column of the file is numeric.")
    places = {name: i for i, name in enumerate(numeric)}
    columns = [Column(name, kind, places.get(name)) for name, kind in kinds.items()]
    writer = MatrixWriter(matrix, numeric, max_cells)
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
