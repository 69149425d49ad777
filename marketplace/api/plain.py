"""A short way for what programs and machines call: most middleware is for browsers, and costs more than many a view."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from django.conf import settings
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse
from django.urls import ResolverMatch, URLPattern
from django.utils.cache import patch_vary_headers
from django.utils.module_loading import import_string
from rest_framework.authentication import SessionAuthentication
from structlog.contextvars import bind_contextvars, clear_contextvars

from marketplace.api.base import Guarded
from marketplace.api.throttles import ThrottleMiddleware
from marketplace.api.urls import urlpatterns

OF_BROWSERS = ("HTTP_COOKIE", "HTTP_ORIGIN")  # with neither there is no session, no form, and nobody's page that asks

Handler = Callable[[HttpRequest], HttpResponse]


def _by_first_word() -> dict[str, list[URLPattern]]:
    """The API's routes by what stands before their first slash: trying all of them in turn is what takes so long."""
    found: dict[str, list[URLPattern]] = defaultdict(list)
    for pattern in urlpatterns:
        if issubclass(getattr(pattern.callback, "cls", object), Guarded):
            found[str(pattern.pattern).partition("/")[0]].append(pattern)
    return found


ROUTES = _by_first_word()


def plain_match(request: HttpRequest) -> ResolverMatch | None:
    """The call of the API that `request` makes, where nothing says that a browser makes it."""
    given = request.META
    takes = given.get("HTTP_ACCEPT", "").lower()
    page = "html" in takes or "text/*" in takes or "format=api" in unquote(given["QUERY_STRING"])
    if page or any(given.get(name) for name in OF_BROWSERS):
        return None
    path = request.path_info.removeprefix("/")
    tried = ROUTES.get(path.partition("/")[0], ())
    return next((match for pattern in tried if (match := pattern.resolve(path))), None)


class PlainCalls:
    """The first middleware: passes a plain call through `PLAIN_MIDDLEWARE` to its view, and all else to what follows.

    An answer is the same by both ways, headers and all. Under the id of its request what a call logs is to be found.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response
        self._throttle = ThrottleMiddleware(get_response)
        self._plain: Any = convert_exception_to_response(self._view)
        for name in reversed(settings.PLAIN_MIDDLEWARE):
            self._plain = convert_exception_to_response(import_string(name)(self._plain))

    def __call__(self, request: HttpRequest) -> HttpResponse:
        match = plain_match(request)
        if match is None:
            return self.get_response(request)
        request.resolver_match = match
        bind_contextvars(request_id=request.META.get("HTTP_X_REQUEST_ID", ""))
        try:
            return self._plain(request)
        finally:
            clear_contextvars()

    def _view(self, request: HttpRequest) -> HttpResponse:
        match: Any = request.resolver_match
        refused = self._throttle.process_view(request, match.func, match.args, match.kwargs)
        response: Any = refused or match.func(request, *match.args, **match.kwargs)
        if hasattr(response, "render"):
            response = response.render()
        asks_sessions = any(issubclass(each, SessionAuthentication) for each in match.func.cls.authentication_classes)
        patch_vary_headers(response, ("Cookie", "origin") if asks_sessions and not refused else ("origin",))
        return response
