"""Files as answers: in blocks, in parts where a Range asks for one, never whole in memory."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import IO

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.utils.http import content_disposition_header, parse_etags

from marketplace.api.errors import body

BLOCK_BYTES = 1 << 20
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class FileSlice(StreamingHttpResponse):
    """`length` bytes of an open file from where it stands; closes it.

    Django's own `FileResponse` has no asynchronous iterator, so that under ASGI it reads all of the file first.
    """

    def __init__(self, file: IO[bytes], length: int, **kwargs) -> None:
        self.file, self.left = file, length
        super().__init__(self._blocks(), **kwargs)

    def close(self) -> None:
        super().close()
        self.file.close()

    def _block(self) -> bytes:
        block = self.file.read(min(BLOCK_BYTES, self.left))
        self.left -= len(block)
        return block

    def _blocks(self) -> Iterator[bytes]:
        while block := self._block():
            yield block

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while block := await asyncio.to_thread(self._block):
            yield block


def asked_range(header: str, size: int) -> tuple[int, int] | None:
    """First byte and length that a Range header asks for; None for the whole file (also for several ranges at once).

    Raises:
        ValueError: nothing of the range is in the file.
    """
    match = RANGE.fullmatch(header.replace(" ", ""))
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:  # the last so many bytes
        start, end = max(size - int(last), 0), size - 1
        if int(last) == 0:
            raise ValueError(header)
    else:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < start:
            return None
    if start >= size:
        raise ValueError(header)
    return start, end - start + 1


def send_file(
    request: HttpRequest, path: Path, *, name: str, content_type: str, filename: str = ""
) -> HttpResponseBase:
    """A file that never changes under its `name`.

    Answers 200; 206 for one Range; 304 where the asker has it; 416 for what lies beyond its end.
    """
    size = path.stat().st_size
    etag = f'"{name}"'
    common = {"ETag": etag, "Accept-Ranges": "bytes", "Cache-Control": "private, no-transform"}
    known = parse_etags(request.headers.get("If-None-Match", ""))
    if etag in (tag.removeprefix("W/") for tag in known) or "*" in known:
        return HttpResponse(status=304, headers=common)
    part = None
    if request.headers.get("If-Range", etag) == etag:
        try:
            part = asked_range(request.headers.get("Range", ""), size)
        except ValueError:
            sentence = f"The file has {size} bytes, and none of them is in the range that was asked for."
            return JsonResponse(body(416, sentence), status=416, headers=common | {"Content-Range": f"bytes */{size}"})
    start, length = part or (0, size)
    common["Content-Length"] = str(length)
    if part:
        common["Content-Range"] = f"bytes {start}-{start + length - 1}/{size}"
    if filename:
        common["Content-Disposition"] = content_disposition_header(True, filename) or "attachment"
    file = path.open("rb")
    file.seek(start)
    return FileSlice(file, length, status=206 if part else 200, content_type=content_type, headers=common)
