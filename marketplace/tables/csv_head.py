"""The head of a CSV file: its separator, and the columns' names where the first row says them."""

import codecs
import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from marketplace.domain.errors import Refused

MAX_LINE_BYTES = 4 * 1024**2
MAX_COLUMNS = 20_000
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


def _repeated(names: list[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
