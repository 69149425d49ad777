"""Asking a call's own view whether it would hear this caller at all, before a large body is taken in."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.handlers.asgi import ASGIRequest
from django.db import connections
from django.http import Http404, HttpResponse, JsonResponse
from django.urls import resolve

from marketplace.api.errors import body


def _nothing(request: Any) -> HttpResponse:
    return HttpResponse()


def refusal(scope: Mapping[str, Any]) -> HttpResponse | None:
    """What the view would answer to this caller whatever the body says; None where it would go on to read it.

    It looks at the headers alone: who calls (a key, a worker's secret, a session), whether they may, and what the
    view's `before_body` makes of the length. All of it is asked again when the body is there.
    """
    try:
        return _refusal(ASGIRequest(scope, BytesIO()))
    finally:
        connections.close_all()


def _refusal(request: Any) -> HttpResponse | None:
    request._dont_enforce_csrf_checks = True  # the token may be in the body
    SessionMiddleware(_nothing).process_request(request)
    AuthenticationMiddleware(_nothing).process_request(request)
    try:
        match = resolve(request.path_info)
    except Http404:
        return None
    request.resolver_match = match
    func: Any = match.func
    of_api = getattr(func, "cls", None)
    if of_api is None:
        if settings.SANDBOX or request.user.is_authenticated:
            return None
        return JsonResponse(body(403, "Log in first: outside the sandbox every page needs it."), status=403)
    view = of_api(**func.initkwargs)
    view.setup(request, *match.args, **match.kwargs)
    view.headers = view.default_response_headers
    view.format_kwarg = view.get_format_suffix(**match.kwargs)
    view.request = asked = view.initialize_request(request, *match.args, **match.kwargs)
    try:
        asked.accepted_renderer, asked.accepted_media_type = view.perform_content_negotiation(asked)
        view.perform_authentication(asked)
        view.check_permissions(asked)
        if hasattr(view, "before_body"):
            view.before_body(asked, int(request.META.get("CONTENT_LENGTH") or 0), **match.kwargs)
    except Exception as error:
        response = view.finalize_response(asked, view.handle_exception(error), *match.args, **match.kwargs)
        return response.render()
    return None
