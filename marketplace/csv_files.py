"""CSV for people, who open it in a spreadsheet: text that would be taken for a formula is quoted, rows are streamed."""

import asyncio
import csv
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import datetime
from io import StringIO
from typing import Any

from django.db import connection
from django.http import StreamingHttpResponse
from django.utils.http import content_disposition_header

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the beginning of one
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
BLOCK_ROWS, BLOCK_CHARACTERS = 2000, 1_000_000


def cell(value: Any) -> Any:
    """A number as it is; text that begins like a formula behind an apostrophe; a moment in ISO 8601; None empty."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA) and not NUMBER.fullmatch(value) else value
    return value


def lines(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    """The file in blocks of rows, UTF-8, lines ended as RFC 4180 ends them."""
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow([cell(name) for name in header])
    for number, row in enumerate(rows, 1):
        writer.writerow([cell(value) for value in row])
        if number % BLOCK_ROWS == 0 or text.tell() > BLOCK_CHARACTERS:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


class CsvResponse(StreamingHttpResponse):
    """A download that is written while it is sent.

    Django reads an ordinary iterator to its end before it sends anything under ASGI; this one is read in a thread. Rows
    must not come from a query that is still open: the connection is given back first.
    """

    def __init__(self, filename: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        self._lines = lines(header, rows)
        disposition = content_disposition_header(True, filename) or "attachment"
        headers = {"Content-Disposition": disposition, "Cache-Control": "private, no-transform"}
        if not connection.in_atomic_block:
            connection.close()
        super().__init__(self._lines, content_type="text/csv; charset=utf-8", headers=headers)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (block := await asyncio.to_thread(next, self._lines, None)) is not None:
            yield block
