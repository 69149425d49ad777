"""Django's ASGI handler, with the length of a body that came in chunks."""

import os
from collections.abc import Mapping
from typing import Any

from django.core.handlers.asgi import ASGIHandler


class MeasuringHandler(ASGIHandler):
    """Says how long a chunked body is once it is all here.

    Django and REST framework take a request without Content-Length for one without a body.
    """

    def create_request(self, scope: Mapping[str, Any], body_file: Any) -> Any:
        if not any(name == b"content-length" for name, _ in scope["headers"]):
            length = body_file.seek(0, os.SEEK_END)
            body_file.seek(0)
            scope = dict(scope) | {"headers": [*scope["headers"], (b"content-length", str(length).encode())]}
        return super().create_request(scope, body_file)
