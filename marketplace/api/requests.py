"""What wraps every request from the outside: an id, and in the sandbox the loopback."""

import re
import uuid
from ipaddress import ip_address
from typing import Any

from django.conf import settings

HEADER = b"x-request-id"
USABLE = re.compile(rb"[A-Za-z0-9._-]{8,64}")


class RequestIds:
    """ASGI middleware: an id for each request, a proxy's own where it sent one, for the log and in every answer."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        sent = next((value for name, value in scope["headers"] if name == HEADER), b"")
        request_id = sent if USABLE.fullmatch(sent) else uuid.uuid4().hex.encode()
        others = [(name, value) for name, value in scope["headers"] if name != HEADER]
        scope = dict(scope) | {"headers": [*others, (HEADER, request_id)]}

        async def send_with_id(message: Any) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                message = dict(message) | {"headers": [*message.get("headers", ()), (HEADER, request_id)]}
            await send(message)

        await self.app(scope, receive, send_with_id)


class LoopbackOnly:
    """ASGI middleware: the sandbox hears nobody from another machine, on whatever address it was made to listen."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if (
            scope["type"] not in ("http", "websocket")
            or not settings.SANDBOX
            or is_loopback((scope.get("client") or ("127.0.0.1",))[0])
        ):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})
        else:
            text = b"This is a sandbox, open to everyone: it answers its own machine alone.\n"
            headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(text)).encode())]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": text})


def is_loopback(host: str) -> bool:
    """Is `host` a name or an address of this machine to itself?"""
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return host == "localhost"
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
