"""Reading CSV: UTF-8, with or without a header, separated by comma, semicolon or tab."""

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
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
CELLS_AT_ONCE = 50_000  # that are Python objects
MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"]


# A quoted cell, which begins where a cell may begin.
QUOTED = re.compile(r'(?:^|(?<=[,;\t\r\n]))"[^"]*(?:""[^"]*)*"')
LINE_END = re.compile(r"\r\n|\r|\n")
FIRST_LINE_TOO_LONG = "The first line is longer than 4 MiB; is this a CSV file?"
DECIMAL_COMMA = r"^\s*[+-]?\d[\d.]*,\d+(?:[eE][+-]?\d+)?\s*$"
DECIMAL_COMMA_REFUSED = (
    "The numbers of {} are written with commas; write them with a point in the place of a decimal comma, and with "
    "nothing between thousands, as in 1234.5."
)


@dataclass(frozen=True)
class Shape:
    """What the first row says; `header_lines` is how many lines the header takes, 0 where there is none."""

    delimiter: str
    names: list[str]
    header_lines: int


@dataclass(frozen=True)
class Extent:
    """What every line says: the bytes before the blank lines at the end, and whether there is a quotation mark."""

    end: int
    has_quotes: bool


def _is_number(cell: str) -> bool:
    """Whether the cell is missing or a number to Arrow, which reads the rows: Python also takes ``1_1`` and ``١``."""
    cell = cell.strip()
    if cell in MISSING:
        return True
    try:
        pc.cast(pa.scalar(cell), pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def is_finite_number(cell: str) -> bool:
    """Whether Arrow reads the cell as a number that is finite."""
    try:
        return bool(pc.is_finite(pc.cast(pa.scalar(cell.strip()), pa.float64())).as_py())
    except pa.ArrowInvalid:
        return False


def _head(path: Path) -> tuple[str, bool]:
    """The text of the file's first 4 MiB, and whether that is all of it."""
    with path.open("rb") as file:
        raw = file.read(MAX_LINE_BYTES + 1)
    whole = len(raw) <= MAX_LINE_BYTES
    try:
        # The cut may fall inside a character, which an incremental decoder leaves out.
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(raw, final=whole)
    except UnicodeDecodeError:
        raise Refused("The file is not UTF-8 text; save it as CSV in UTF-8.") from None
    if "\0" in text:
        raise Refused("The file is not text; bring CSV, .npy or .npz.")
    return text, whole


def _lines(text: str) -> Iterator[str]:
    """The lines of `text` with their ends, one at a time: `io.StringIO` would hold four bytes for each character."""
    start = 0
    for end in LINE_END.finditer(text):
        yield text[start : end.end()]
        start = end.end()
    if start < len(text):
        yield text[start:]


def _first_row(text: str, whole: bool, delimiter: str) -> tuple[list[str], int]:
    """The cells of the first row and the number of its lines, more than one where a quoted cell holds line ends."""
    read = 0

    def counted() -> Iterator[str]:
        nonlocal read
        for line in _lines(text):
            read += len(line)
            yield line

    reader = csv.reader(counted(), delimiter=delimiter)
    try:
        cells = [cell.strip() for cell in next(reader, [])]
    except csv.Error as error:
        raise Refused(f"The first row of the file cannot be read as CSV: {error}.") from None
    if not whole and read >= len(text):
        raise Refused(FIRST_LINE_TOO_LONG)
    return cells, reader.line_num


def _refuse_decimal_commas(line: str) -> None:
    for separator in ";\t":
        cells = line.split(separator)
        written_so = [bool(re.match(DECIMAL_COMMA, cell)) for cell in cells]
        others = (cell for cell, comma in zip(cells, written_so, strict=True) if not comma)
        if len(cells) > 1 and any(written_so) and all(_is_number(cell) for cell in others):
            raise Refused(DECIMAL_COMMA_REFUSED.format("the file"))


def read_shape(path: Path) -> Shape:
    """The separator, and the columns' names: those of the header, or ``column_0``, ``column_1``, …

    A first row with a cell that is neither a number nor missing is a header.
    """
    text, whole = _head(path)
    if not whole and LINE_END.search(text) is None:
        raise Refused(FIRST_LINE_TOO_LONG)
    unquoted = next(_lines(QUOTED.sub("", text)), "")
    delimiter = max(",;\t", key=unquoted.count)
    # Counted before the row is split: each cell would be an object of its own.
    _refuse_too_many_columns(unquoted.count(delimiter) + 1)
    cells, lines = _first_row(text, whole, delimiter)
    if not any(cells):
        raise Refused("The file begins with an empty line; the first line must be a header or a row of numbers.")
    _refuse_too_many_columns(len(cells))
    _refuse_decimal_commas(unquoted)
    has_header = not all(_is_number(cell) for cell in cells)
    names = _names(cells if has_header else [""] * len(cells))
    repeated = _repeated(names)
    if repeated is not None:
        raise Refused(f'The header names the column "{repeated[:80]}" twice.')
    return Shape(delimiter, names, lines if has_header else 0)


def _refuse_too_many_columns(count: int) -> None:
    if count > MAX_COLUMNS:
        raise Refused(f"The file has {count:,} columns; at most {MAX_COLUMNS:,} are taken.")


def _names(given: list[str]) -> list[str]:
    """The given names, with one made up for each that is empty, unlike every given one."""
    taken = set(given)
    names = []
    for i, name in enumerate(given):
        if not name:
            name = f"column_{i}"
            while name in taken:
                name += "_"
        names.append(name)
    return names


def _scan(path: Path) -> Extent:
    """Refuse a line of more than 4 MiB before it is parsed, which would take many times its size."""
    since = 0  # bytes after the last line's end
    offset = end = 0
    has_quotes = False
    with path.open("rb") as file:
        while chunk := file.read(storage.CHUNK_BYTES):
            chunk = chunk.replace(b"\r", b"\n")
            first = chunk.find(b"\n")
            longest = since + (len(chunk) if first < 0 else first)
            since = longest if first < 0 else len(chunk) - chunk.rfind(b"\n") - 1
            if longest > MAX_LINE_BYTES:
                raise Refused("A row of the file is longer than 4 MiB; is this a CSV file?")
            has_quotes = has_quotes or b'"' in chunk
            filled = len(chunk.rstrip(b"\n"))
            end = offset + filled if filled else end
            offset += len(chunk)
    return Extent(end, has_quotes)


def _repeated(names: list[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _batches(
    path: Path, shape: Shape, extent: Extent, types: dict[str, pa.DataType], missing: Sequence[str] = MISSING
) -> Iterator[pa.RecordBatch]:
    """The rows in blocks, with the columns of `types` alone; a cell that is one of `missing` is null.

    Cells of the wrong type raise `pa.ArrowInvalid`.
    """
    try:
        with (
            pa.OSFile(str(path)) as file,
            arrow_csv.open_csv(
                file.get_stream(0, extent.end),
                read_options=arrow_csv.ReadOptions(
                    use_threads=False,
                    block_size=BLOCK_BYTES,
                    column_names=shape.names,
                    skip_rows=shape.header_lines,
                ),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=shape.delimiter,
                    newlines_in_values=extent.has_quotes,
                    ignore_empty_lines=len(shape.names) > 1,  # in a single column, an empty line is a missing cell
                ),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=types,
                    include_columns=list(types),
                    null_values=missing,
                    strings_can_be_null=bool(missing),
                    quoted_strings_can_be_null=bool(missing),
                ),
            ) as reader,
        ):
            yield from reader
    except pa.ArrowInvalid as error:
        # A header has at most 4 MiB and a block 8, so only a file that ends with its header has too few to skip.
        if "Empty CSV file" in str(error) or "Could not skip initial" in str(error):
            raise Refused("The data have no rows.") from None
        raise Refused(f"The CSV cannot be read: {str(error).splitlines()[0][:200]}") from None


def text_batches(path: Path, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """These columns of the CSV at `path` as text, in blocks of rows; a missing cell is null."""
    return _batches(path, read_shape(path), _scan(path), dict.fromkeys(names, pa.string()))


def cells(path: Path) -> Iterator[tuple[str, ...]]:
    """The cells of each row of the CSV at `path`, as they are written there."""
    shape = read_shape(path)
    for batch in _batches(path, shape, _scan(path), dict.fromkeys(shape.names, pa.string()), missing=[]):
        step = max(1, CELLS_AT_ONCE // len(shape.names))
        for start in range(0, batch.num_rows, step):
            part = batch.slice(start, step)
            yield from zip(*(column.to_pylist() for column in part.columns), strict=True)


def _numeric_names(path: Path, shape: Shape, extent: Extent) -> tuple[dict[str, str], dict[str, tuple[int, int]]]:
    """Names of the columns whose every cell is a number or missing, each with its dtype, int64 or float64.

    Also how many cells each column lacks, where it lacks any, and the row of the first.
    """
    found = dict.fromkeys(shape.names, "int64")
    gaps: dict[str, tuple[int, int]] = {}
    rows = 0
    for batch in _batches(path, shape, extent, dict.fromkeys(shape.names, pa.string())):
        for name in list(found):
            cells = pc.utf8_trim_whitespace(batch.column(name))
            try:
                if found[name] == "int64" and not cells.null_count:
                    found[name] = _narrowest(cells)
                else:
                    pc.cast(cells, pa.float64())
                    found[name] = "float64"
            except pa.ArrowInvalid:
                del found[name]
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if column.null_count:
                count, first = gaps.get(name) or (0, rows + 1 + pc.index(column.is_null(), True).as_py())
                gaps[name] = (count + column.null_count, first)
        rows += batch.num_rows
    return found, gaps


def _narrowest(cells: pa.Array) -> str:
    pc.cast(cells, pa.float64())  # first: as an integer, Arrow also takes 0x10, which no float may be
    try:
        pc.cast(cells, pa.int64())
    except pa.ArrowInvalid:
        return "float64"
    return "int64"


def _refuse_columns_with_commas(path: Path, shape: Shape, extent: Extent, text: list[str]) -> None:
    """Refuse the file by the first of the `text` columns that is nothing but numbers with commas in its first block.

    Raises:
        Refused: it would be text, and go missing from the fit without a word.
    """
    if not text:
        return
    batch = next(_batches(path, shape, extent, dict.fromkeys(text, pa.string())))
    for name in text:
        cells = batch.column(name).drop_null()
        if len(cells) and pc.all(pc.match_substring_regex(cells, DECIMAL_COMMA)).as_py():
            raise Refused(DECIMAL_COMMA_REFUSED.format(f'column "{name[:80]}"'))


def read(path: Path, matrix: IO[bytes], max_cells: int) -> tuple[list[Column], MatrixWriter]:
    """Write the numeric columns of the CSV at `path` into `matrix`, twice through the file and in blocks.

    Raises:
        Refused: with one sentence, where the file is no such table.
    """
    shape = read_shape(path)
    extent = _scan(path)
    numeric, gaps = _numeric_names(path, shape, extent)
    place = {name: i for i, name in enumerate(name for name in shape.names if name in numeric)}
    columns = [
        Column(name, numeric.get(name, "text"), place.get(name), *gaps.get(name, (0, None))) for name in shape.names
    ]
    _refuse_columns_with_commas(path, shape, extent, [name for name in shape.names if name not in numeric])
    if not place:
        raise Refused("No column of the file is numeric.")
    writer = MatrixWriter(matrix, len(place), max_cells)
    for batch in _batches(path, shape, extent, dict.fromkeys(place, pa.string())):
        block = np.empty((batch.num_rows, len(place)))
        for name, i in place.items():
            cells = pc.cast(pc.utf8_trim_whitespace(batch.column(name)), pa.float64())
            block[:, i] = cells.fill_null(float("nan")).to_numpy(zero_copy_only=False)
        writer.add(block)
    writer.finish()
    writer.statistics.fill([column for column in columns if column.matrix_column is not None])
    return columns, writer
