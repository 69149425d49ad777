"""Django's ASGI handler, all in one thread, with the length of a body that came in chunks."""

import os
from collections.abc import Mapping
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase


class OneThreadHandler(ASGIHandler):
    """Runs middleware and view one after the other in one thread, as under WSGI.

    All views are synchronous, and some middleware is: Django's own way goes from the event loop into the thread and
    back six times for one request. It also says how long a chunked body is once it is all here: Django and REST
    framework take a request without Content-Length for one without a body.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        return await sync_to_async(self.get_response, thread_sensitive=True)(request)

    def create_request(self, scope: Mapping[str, Any], body_file: Any) -> Any:
        if not any(name == b"content-length" for name, _ in scope["headers"]):
            length = body_file.seek(0, os.SEEK_END)
            body_file.seek(0)
            scope = dict(scope) | {"headers": [*scope["headers"], (b"content-length", str(length).encode())]}
        return super().create_request(scope, body_file)
