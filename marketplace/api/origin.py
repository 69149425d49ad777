"""Another site's page may not write here, whatever a browser lets it send."""

from collections.abc import Callable
from urllib.parse import urlsplit

from corsheaders.conf import conf as cors
from corsheaders.middleware import CorsMiddleware
from django.http import HttpRequest, HttpResponse, JsonResponse

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


class OriginMiddleware:
    """Refuses a write whose `Origin` is neither this site's own nor one that the operator has allowed."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.cors = CorsMiddleware(get_response)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        origin = request.headers.get("Origin")
        if origin and request.method not in SAFE_METHODS and not self.allowed(origin, request):
            sentence = f"A page of {origin} may not write here; the operator allows origins in CORS_ALLOWED_ORIGINS."
            return JsonResponse({"success": False, "error": sentence}, status=403)
        return self.get_response(request)

    def allowed(self, origin: str, request: HttpRequest) -> bool:
        if origin == f"{request.scheme}://{request.get_host()}":
            return True
        return cors.CORS_ALLOW_ALL_ORIGINS or self.cors.origin_found_in_white_lists(origin, urlsplit(origin))
