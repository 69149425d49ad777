"""Every refusal as the seed's shape: `{"success": false, "error": "<one sentence>"}`, or `{"error"}` for a 404."""

from typing import Any

from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from marketplace.domain.errors import Refused


def first_sentence(detail: Any, name: str = "") -> str:
    """The first message of REST framework's nested details, with the field that it is about."""
    if isinstance(detail, dict):
        key, value = next(iter(detail.items()))
        return first_sentence(value, "" if key == "non_field_errors" else str(key))
    if isinstance(detail, list):
        return first_sentence(detail[0], name)
    return f"{name}: {detail}" if name else str(detail)


def body(status: int, sentence: str) -> dict[str, Any]:
    return {"error": sentence} if status == 404 else {"success": False, "error": sentence}


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """REST framework's hook: a refusal becomes an answer, anything else stays a 500 with its traceback in the log."""
    if isinstance(error, Refused):
        set_rollback()
        return Response(body(error.status, str(error)), status=error.status)
    if isinstance(error, Http404):
        return Response(body(404, "There is nothing at this address."), status=404)
    if isinstance(error, exceptions.APIException):
        set_rollback()
        headers = {}
        if header := getattr(error, "auth_header", None):
            headers["WWW-Authenticate"] = header
        if wait := getattr(error, "wait", None):
            headers["Retry-After"] = str(int(wait) + 1)
        return Response(body(error.status_code, first_sentence(error.detail)), status=error.status_code, headers=headers)
    return None
