"""The rows of a CSV file in blocks, each parsed by itself: memory does not grow with the file.

Arrow's own reader of blocks reads 32 of them ahead of what is asked for, which is 128 MiB.
"""

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa
from pyarrow import csv as arrow_csv

from marketplace import storage
from marketplace.domain.errors import Refused
from marketplace.tables.csv_head import LINE_END, MAX_LINE_BYTES, MISSING, Shape

BLOCK_BYTES = 4 * 1024**2
BYTES_LINE_END = re.compile(LINE_END.pattern.encode())


@dataclass(frozen=True)
class Extent:
    """What every line says: the bytes before the blank lines at the end, and whether there is a quotation mark."""

    end: int
    has_quotes: bool


def scan(path: Path) -> Extent:
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


def _row_end(content: bytes, quoted: re.Pattern[bytes] | None) -> int:
    """How many bytes the whole rows of `content` take, which begins with one. Line ends in `quoted` cells are none."""
    if quoted is not None and b'"' in content:
        content = quoted.sub(lambda cell: b" " * len(cell[0]), content)
    end = max(content.rfind(b"\n"), content.rfind(b"\r")) + 1
    if end == len(content) and content.endswith(b"\r"):  # its \n may be still to come
        end = max(content.rfind(b"\n"), content.rfind(b"\r", 0, -1)) + 1
    return end


def _refuse_open(rows: bytes, quoted: re.Pattern[bytes] | None) -> None:
    """Refuse the file by its last rows where a cell in `quoted` does not end: it would have taken rows with it."""
    for cell in quoted.finditer(rows) if quoted is not None and b'"' in rows else ():
        if cell[1] is None:
            begins = cell[0][:40].decode(errors="replace")
            raise Refused(f"The cell that begins with {begins!r} has a quotation mark that is never closed.")


def row_blocks(path: Path, shape: Shape, extent: Extent) -> Iterator[bytes]:
    """The file behind its header, in blocks of whole rows.

    Raises:
        Refused: no rows, one of more than 8 MiB, or a cell in quotation marks that does not end.
    """
    # What begins where a cell may begin; one that is still open reaches to the end. The mark stands first in the
    # pattern and what is before it is looked at then: so `re` goes from mark to mark, and not from byte to byte.
    place = rb'"(?:(?<=[' + re.escape(shape.delimiter.encode()) + rb'\r\n]")|(?<=\A"))'
    quoted = re.compile(place + rb'[^"]*+(?:""[^"]*+)*+(?:(")|\Z)') if extent.has_quotes else None
    with path.open("rb") as file:
        head = file.read(MAX_LINE_BYTES + 2)
        ends = [end.end() for end in islice(BYTES_LINE_END.finditer(head), shape.header_lines)]
        at = file.seek(ends[-1] if ends else len(codecs.BOM_UTF8) * head.startswith(codecs.BOM_UTF8))
        if at >= extent.end or len(ends) < shape.header_lines:
            raise Refused("The data have no rows.")
        held = b""
        while at < extent.end:
            held += file.read(min(BLOCK_BYTES, extent.end - at))
            at = file.tell()
            if at >= extent.end:
                _refuse_open(held, quoted)
            end = len(held) if at >= extent.end else _row_end(held, quoted)
            if not end and len(held) > 2 * MAX_LINE_BYTES:
                raise Refused("A row of the file is longer than 8 MiB; is a quotation mark left open?")
            rows = held[:end]
            if rows and (len(shape.names) == 1 or rows.strip(b"\r\n")):
                yield rows
            held = held[end:]


def parse(
    rows: bytes, shape: Shape, types: Mapping[str, pa.DataType], missing: Sequence[str] = MISSING
) -> pa.RecordBatch:
    """
    Raises:
        pa.ArrowInvalid: a cell of the wrong type, or too many or too few of them.
    """
    table = arrow_csv.read_csv(
        pa.py_buffer(rows),
        read_options=arrow_csv.ReadOptions(use_threads=False, block_size=len(rows), column_names=shape.names),
        parse_options=arrow_csv.ParseOptions(
            delimiter=shape.delimiter,
            newlines_in_values=b'"' in rows,
            ignore_empty_lines=len(shape.names) > 1,  # in a single column, an empty line is a missing cell
        ),
        convert_options=arrow_csv.ConvertOptions(
            column_types=types,
            include_columns=list(types),
            null_values=missing,
            strings_can_be_null=bool(missing),
            quoted_strings_can_be_null=bool(missing),
        ),
    )
    return table.combine_chunks().to_batches()[0]


def parse_texts(
    rows: bytes, shape: Shape, names: Iterable[str], done: int, missing: Sequence[str] = MISSING
) -> pa.RecordBatch:
    """These columns of `rows` as text, where `done` rows came before them.

    Raises:
        Refused: too many or too few cells, or what is no text.
    """
    try:
        return parse(rows, shape, dict.fromkeys(names, pa.string()), missing)
    except pa.ArrowInvalid as error:
        done += shape.header_lines
        sentence = re.sub(r"Row #(\d+)", lambda row: f"Row #{int(row[1]) + done}", str(error).splitlines()[0])
        raise Refused(f"The CSV cannot be read: {sentence[:200]}") from None


def text_batches(
    path: Path, shape: Shape, extent: Extent, names: Iterable[str], missing: Sequence[str] = MISSING
) -> Iterator[pa.RecordBatch]:
    """All rows in blocks, with these columns alone, as text; a cell that is one of `missing` is null."""
    done = 0
    for rows in row_blocks(path, shape, extent):
        batch = parse_texts(rows, shape, names, done, missing)
        yield batch
        done += batch.num_rows
