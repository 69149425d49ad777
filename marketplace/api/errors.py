"""Every refusal as the seed's shape: `{"success": false, "error": "<one sentence>"}`, or `{"error"}` for a 404."""

import logging
import uuid
from typing import Any

from django.core.exceptions import BadRequest, DisallowedHost, PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.multipartparser import MultiPartParserError
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback
from structlog.contextvars import get_contextvars

from marketplace.api import error_pages
from marketplace.api.negotiation import wants_page
from marketplace.domain.errors import Refused
from marketplace.storage import is_full

log = logging.getLogger(__name__)


def body(status: int, sentence: str) -> dict[str, Any]:
    # What a sentence quotes came from outside and may not be encodable.
    sentence = sentence.encode("utf-8", "replace").decode().strip()
    if not sentence.endswith((".", "…", "?", "!")):
        sentence += "."
    return {"error": sentence} if status == 404 else {"success": False, "error": sentence}


def first_sentence(detail: Any, name: str = "") -> str:
    """The first message of REST framework's nested details, with the field that it is about."""
    if isinstance(detail, dict):
        key, value = next((key, value) for key, value in detail.items() if value)
        return first_sentence(value, name if key == "non_field_errors" else str(key))
    if isinstance(detail, list):
        return first_sentence(next(each for each in detail if each), name)
    return f"{name}: {detail}" if name else str(detail)


def exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """REST framework's hook: every exception of a view becomes an answer, an unforeseen one a 500."""
    set_rollback()
    headers: dict[str, str] = {}
    match error:
        case Refused():
            status, sentence = error.status, str(error)
        case Http404():
            status, sentence = 404, "There is nothing at this address."
        case PermissionDenied():
            status, sentence = 403, str(error) or "This is not yours to do."
        case SuspiciousOperation() | MultiPartParserError():
            status, sentence = 400, f"The request cannot be read: {error}"
        case exceptions.UnsupportedMediaType():
            status, sentence = error.status_code, _media_type(context)
        case exceptions.NotAcceptable():
            status, sentence = error.status_code, "This call cannot answer in any form that the Accept header names."
        case exceptions.NotAuthenticated():
            status, sentence = error.status_code, "Send `Authorization: Bearer <key>`, or log in."
            headers = _headers(error)
        case exceptions.APIException():
            status, sentence = error.status_code, first_sentence(error.detail)
            headers = _headers(error)
        case OSError() if is_full(error):
            status, sentence = 507, "The network's disk is full; try again when the operator has made room."
        case _:
            status, sentence = 500, log_failure(error)
    return Response(body(status, sentence), status=status, headers=headers)


def _media_type(context: dict[str, Any]) -> str:
    taken = " or ".join(parser.media_type for parser in context["view"].parser_classes)
    sent = context["request"].content_type or "without a Content-Type"
    return f"Send the body of this call as {taken}; it came as {sent}." if taken else "This call takes no body."


def _headers(error: exceptions.APIException) -> dict[str, str]:
    headers = {}
    if header := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = header
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(int(wait) + 1)
    return headers


def log_failure(error: BaseException | None) -> str:
    """Log an unforeseen error under an id, and answer the sentence that names the id and nothing else."""
    request_id = get_contextvars().get("request_id") or uuid.uuid4().hex
    log.error("Request %s failed.", request_id, exc_info=error or True)
    return f"Something went wrong here; the operator finds it in the log under {request_id}."


# Django's own refusals, outside of any REST framework view: `computenet.urls` and the settings name these.


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    sentence = "The request cannot be read."
    if isinstance(exception, DisallowedHost):
        sentence = "This server does not answer under that host name; the operator sets ALLOWED_HOSTS."
    elif isinstance(exception, BadRequest):
        sentence = str(exception)
    if wants_page(request):
        return error_pages.page(request, 400, sentence)
    return JsonResponse(body(400, sentence), status=400)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    if wants_page(request):
        return error_pages.page(request, 403, str(exception))
    return JsonResponse(body(403, str(exception) or "This is not yours to do."), status=403)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    sentence = "The form came without the page's own secret: cookies are off, or you logged in elsewhere meanwhile."
    if wants_page(request):
        return error_pages.page(request, 403, sentence)
    return JsonResponse(body(403, f"CSRF: {reason}"), status=403)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if wants_page(request):
        return error_pages.page(request, 404)
    return JsonResponse(body(404, "There is nothing at this address; GET / lists what there is."), status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    sentence = log_failure(None)
    if wants_page(request):
        return error_pages.page(request, 500)
    return JsonResponse(body(500, sentence), status=500)
