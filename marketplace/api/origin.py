"""Another site's page may not write here, whatever a browser lets it send; nor open a socket."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from channels.security.websocket import WebsocketDenier
from corsheaders.conf import conf as cors
from corsheaders.middleware import CorsMiddleware
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import split_domain_port, validate_host

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_cors = CorsMiddleware(lambda request: HttpResponse())


def allowed(origin: str, own: str) -> bool:
    """Is `origin` this site's `own`, or one that the operator has allowed?"""
    return origin == own or cors.CORS_ALLOW_ALL_ORIGINS or _cors.origin_found_in_white_lists(origin, urlsplit(origin))


class OriginMiddleware:
    """Refuses a write whose `Origin` is neither this site's own nor one that the operator has allowed."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        origin = request.headers.get("Origin")
        writes = request.method not in SAFE_METHODS
        if origin and writes and not allowed(origin, f"{request.scheme}://{request.get_host()}"):
            sentence = f"A page of {origin} may not write here; the operator allows origins in CORS_ALLOWED_ORIGINS."
            return JsonResponse({"success": False, "error": sentence}, status=403)
        return self.get_response(request)


class SocketGate:
    """ASGI middleware that denies a WebSocket under a foreign Host, or from a page whose Origin may not write here.

    Django checks the Host of HTTP requests alone. A program sends no Origin; a browser always does.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope, receive, send) -> None:
        headers = {name: value.decode("latin1") for name, value in scope["headers"]}
        host, origin = headers.get(b"host", ""), headers.get(b"origin")
        domain, _ = split_domain_port(host)
        own = {"ws": "http", "wss": "https"}.get(scope.get("scheme", "ws"), "http") + f"://{host}"
        fits = bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)
        # Behind a proxy that ends TLS the scheme here is not the page's.
        secure = own.replace("http://", "https://", 1)
        if not fits or (origin is not None and not (origin == secure or allowed(origin, own))):
            app: Any = WebsocketDenier()
        else:
            app = self.app
        await app(scope, receive, send)
