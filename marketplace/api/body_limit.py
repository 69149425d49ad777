"""How much body a call may have, kept while it comes in: Django under ASGI takes all of it before any view runs."""

import asyncio
import re
from typing import Any

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.conf import settings
from django.http import HttpResponse, JsonResponse

from marketplace.api.before_body import refusal
from marketplace.api.errors import body
from marketplace.storage import is_full

# What may be larger than MAX_BODY_BYTES: method, path, media type, and the setting that says how large.
LARGE = [
    ("POST", re.compile(r"/datasets|/dashboard/jobs/(new/)?"), b"multipart/form-data", "MAX_UPLOAD_BYTES"),
    ("POST", re.compile(r"/job/[0-9a-f-]{36}/predict"), b"multipart/form-data", "MAX_UPLOAD_BYTES"),
    ("PUT", re.compile(r"/uploads/[0-9a-f-]{36}/parts/\d{1,6}"), b"application/octet-stream", "UPLOAD_PART_BYTES"),
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
            await refuse(send, *too_large(limit))
            return
        small = length.isdigit() and 0 < int(length) <= settings.MAX_BODY_BYTES  # without a length it comes in chunks
        if limit > settings.MAX_BODY_BYTES and not small:
            async with ThreadSensitiveContext():
                refused = await sync_to_async(refusal)(scope)
            if refused is not None:
                await send_response(send, refused)
                return
        received = 0
        answering = complete = False

        async def counted_receive():
            nonlocal received, complete
            if complete:  # what is waited for now is the caller hanging up
                return await receive()
            async with asyncio.timeout(settings.BODY_IDLE_SECONDS):
                message = await receive()
            received += len(message.get("body", b""))
            complete = not message.get("more_body", False)
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
                await refuse(send, *too_large(limit))
        except TimeoutError:
            if not answering and not complete:
                await refuse(send, 408, f"Nothing of the body came for {settings.BODY_IDLE_SECONDS} seconds.")
        except OSError as error:
            if answering or not is_full(error):
                raise
            await refuse(send, 507, "The network's disk is full; try again when the operator has made room.")


def too_large(limit: int) -> tuple[int, str]:
    return 413, f"The body of this call may have {limit:,} bytes at most."


async def refuse(send, status: int, sentence: str) -> None:
    """Answer and close: what is still to come of the body is not read."""
    await send_response(send, JsonResponse(body(status, sentence), status=status))


async def send_response(send, response: HttpResponse) -> None:
    headers = [(name.lower().encode("latin1"), value.encode("latin1")) for name, value in response.items()]
    headers += [(b"content-length", str(len(response.content)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": response.content})
