"""How much body a call may have, kept while it comes in: Django under ASGI takes all of it before any view runs."""

import json
import re
from typing import Any

from django.conf import settings

from marketplace.api.errors import body

# What may be larger than MAX_BODY_BYTES: method, path, media type, and the setting that says how large.
LARGE = [
    ("POST", re.compile(r"/datasets|/dashboard/jobs/"), b"multipart/form-data", "MAX_UPLOAD_BYTES"),
    ("PUT", re.compile(r"/assignment/[0-9a-f-]{36}/result"), b"application/octet-stream", "MAX_RESULT_BYTES"),
]
MULTIPART_OVERHEAD_BYTES = 64 * 1024  # boundaries and part headers around a file of the full size


class TooLarge(Exception):
    """More came than the call may have."""


def limit_of(scope: dict[str, Any], headers: dict[bytes, bytes]) -> int:
    media_type = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
    for method, path, kind, setting in LARGE:
        if scope["method"] == method and media_type == kind and path.fullmatch(scope["path"]):
            return getattr(settings, setting) + MULTIPART_OVERHEAD_BYTES
    return settings.MAX_BODY_BYTES


class BodyLimit:
    """ASGI middleware: 413 at once where Content-Length says too much, else as soon as too much has come."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        limit = limit_of(scope, headers)
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > limit:
            await refuse(send, limit)
            return
        received = 0
        answering = False

        async def counted_receive():
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise TooLarge
            return message

        async def watched_send(message):
            nonlocal answering
            answering = True
            await send(message)

        try:
            await self.app(scope, counted_receive, watched_send)
        except TooLarge:
            if not answering:
                await refuse(send, limit)


async def refuse(send, limit: int) -> None:
    """Answer 413 and close: what is still to come of the body is not read."""
    content = json.dumps(body(413, f"The body of this call may have {limit:,} bytes at most.")).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": content})
