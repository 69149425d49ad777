"""Reading CSV: UTF-8, with or without a header, separated by comma, semicolon or tab."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from marketplace import storage
from marketplace.domain.errors import Refused
from marketplace.tables.matrix import Column, MatrixWriter

BLOCK_BYTES = 8 * 1024**2
MAX_LINE_BYTES = 4 * 1024**2
MAX_COLUMNS = 20_000
MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"]


@dataclass(frozen=True)
class Shape:
    """What the first line says."""

    delimiter: str
    names: list[str]
    has_header: bool


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell.strip() in MISSING
    return True


def read_shape(path: Path) -> Shape:
    """The separator, and the columns' names: those of the header, or ``column_0``, ``column_1``, …

    A first line with a cell that is neither a number nor missing is a header.
    """
    with path.open("rb") as file:
        raw = file.readline(MAX_LINE_BYTES + 1)
    if len(raw) > MAX_LINE_BYTES:
        raise Refused("The first line is longer than 4 MiB; is this a CSV file?")
    try:
        line = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Refused("The file is not UTF-8 text; save it as CSV in UTF-8.") from None
    if "\0" in line:
        raise Refused("The file is not text; bring CSV, .npy or .npz.")
    delimiter = max(",;\t", key=line.count)
    cells = [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]
    if not any(cells):
        raise Refused("The file begins with an empty line; the first line must be a header or a row of numbers.")
    if len(cells) > MAX_COLUMNS:
        raise Refused(f"The file has {len(cells):,} columns; at most {MAX_COLUMNS:,} are taken.")
    has_header = not all(_is_number(cell) for cell in cells)
    names = [(cell if has_header else "") or f"column_{i}" for i, cell in enumerate(cells)]
    repeated = _repeated(names) if has_header else None
    if repeated is not None:
        raise Refused(f'The header names the column "{repeated[:80]}" twice.')
    return Shape(delimiter, names, has_header)


def _require_lines(path: Path) -> None:
    """Refuse a line of more than 4 MiB before it is parsed, which would take many times its size."""
    since = 0  # bytes after the last line's end
    with path.open("rb") as file:
        while chunk := file.read(storage.CHUNK_BYTES):
            chunk = chunk.replace(b"\r", b"\n")
            first = chunk.find(b"\n")
            longest = since + (len(chunk) if first < 0 else first)
            since = longest if first < 0 else len(chunk) - chunk.rfind(b"\n") - 1
            if longest > MAX_LINE_BYTES:
                raise Refused("A row of the file is longer than 4 MiB; is this a CSV file?")


def _repeated(names: list[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _batches(path: Path, shape: Shape, types: dict[str, pa.DataType]):
    """The rows in blocks, with the columns of `types` alone. Cells of the wrong type raise `pa.ArrowInvalid`."""
    try:
        with arrow_csv.open_csv(
            path,
            read_options=arrow_csv.ReadOptions(
                use_threads=False,
                block_size=BLOCK_BYTES,
                column_names=shape.names,
                skip_rows=int(shape.has_header),
            ),
            parse_options=arrow_csv.ParseOptions(delimiter=shape.delimiter),
            convert_options=arrow_csv.ConvertOptions(
                column_types=types,
                include_columns=list(types),
                null_values=MISSING,
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        ) as reader:
            yield from reader
    except pa.ArrowInvalid as error:
        if "Empty CSV file" in str(error):
            raise Refused("The data have no rows.") from None
        raise Refused(f"The CSV cannot be read: {str(error).splitlines()[0][:200]}") from None


def _numeric_names(path: Path, shape: Shape) -> dict[str, str]:
    """Names of the columns whose every cell is a number or missing, each with its dtype, int64 or float64."""
    found = dict.fromkeys(shape.names, "int64")
    for batch in _batches(path, shape, dict.fromkeys(shape.names, pa.string())):
        for name in list(found):
            cells = pc.utf8_trim_whitespace(batch.column(name))
            try:
                if found[name] == "int64":
                    found[name] = "float64" if cells.null_count else _narrowest(cells)
                else:
                    pc.cast(cells, pa.float64())
            except pa.ArrowInvalid:
                del found[name]
    return found


def _narrowest(cells: pa.Array) -> str:
    try:
        pc.cast(cells, pa.int64())
    except pa.ArrowInvalid:
        pc.cast(cells, pa.float64())
        return "float64"
    return "int64"


def read(path: Path, matrix: IO[bytes], max_cells: int) -> tuple[list[Column], MatrixWriter]:
    """Write the numeric columns of the CSV at `path` into `matrix`, twice through the file and in blocks.

    Raises:
        Refused: with one sentence, where the file is no such table.
    """
    shape = read_shape(path)
    _require_lines(path)
    numeric = _numeric_names(path, shape)
    place = {name: i for i, name in enumerate(name for name in shape.names if name in numeric)}
    columns = [Column(name, numeric.get(name, "text"), place.get(name)) for name in shape.names]
    if not place:
        raise Refused("No column of the file is numeric.")
    writer = MatrixWriter(matrix, len(place), max_cells)
    for batch in _batches(path, shape, dict.fromkeys(place, pa.string())):
        block = np.empty((batch.num_rows, len(place)))
        for name, i in place.items():
            cells = pc.cast(pc.utf8_trim_whitespace(batch.column(name)), pa.float64())
            block[:, i] = cells.fill_null(float("nan")).to_numpy(zero_copy_only=False)
        writer.add(block)
    writer.finish()
    writer.statistics.fill([column for column in columns if column.matrix_column is not None])
    return columns, writer
