"""What the machines' calls share: who calls, what came, and an answer, without REST framework's request and response.

Machines call for every job several times, and those two cost more than what most of these calls do. REST framework
still says what it is asked for once: the schema, OPTIONS, and methods that a call does not have.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from rest_framework.exceptions import (
    AuthenticationFailed,
    NotAcceptable,
    ParseError,
    UnsupportedMediaType,
    ValidationError,
)
from rest_framework.renderers import JSONRenderer

from marketplace.api.base import Call, shape
from marketplace.api.errors import exception_handler
from marketplace.api.machine_auth import SCHEME, MachineAuthentication, machine_of
from marketplace.api.parsers import loads
from marketplace.api.permissions import IsMachine
from marketplace.models import Worker

METHODS = {"GET", "HEAD", "POST", "PUT"}


class MachineCall(Call):
    """A call that only an enrolled machine may make. Its methods answer what becomes JSON, or a whole response."""

    authentication_classes = (MachineAuthentication,)
    permission_classes = (IsMachine,)
    renderer_classes: Any = (JSONRenderer,)
    counted = False  # see `marketplace.api.throttles`
    answers_in: ClassVar[tuple[str, ...]] = ("application/json",)

    machine: Worker  # who calls

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        act = getattr(self, request.method.lower(), None) if request.method in METHODS else None
        if act is None:
            return super().dispatch(request, *args, **kwargs)
        try:
            if not any(map(request.accepts, self.answers_in)):
                raise NotAcceptable
            self.machine = self._caller(request)
            answer = act(request, *args, **kwargs)
        except Exception as error:
            refusal = exception_handler(error, {"view": self, "request": request})
            return _json(refusal.data, status=refusal.status_code, headers=dict(refusal.items()))
        return answer if isinstance(answer, HttpResponseBase) else _json(answer)

    def _caller(self, request: HttpRequest) -> Worker:
        """
        Raises:
            AuthenticationFailed
        """
        try:
            machine = machine_of(request.META.get("HTTP_AUTHORIZATION", "").encode("latin-1"))
            if machine is None:
                raise AuthenticationFailed(IsMachine.message)
        except AuthenticationFailed as failed:
            failed.auth_header = SCHEME  # type: ignore[attr-defined]
            raise
        return machine

    def parsed(self) -> dict[str, Any]:
        """The request's body as the serializer read it; one that is empty is an empty object.

        Raises:
            ParseError, UnsupportedMediaType, ValidationError
        """
        document: Any = {}
        if body_bytes(self.request):
            self.require("application/json")
            try:
                document = loads(self.request.read())
            except ValueError as error:
                raise ParseError(f"The body is not valid JSON: {error}.") from None
        if not isinstance(document, Mapping):
            raise ValidationError("The body must be a JSON object.")
        return shape(self.serializer_class).run_validation(document)

    def require(self, media_type: str) -> None:
        """
        Raises:
            UnsupportedMediaType: the body is of another type.
        """
        if self.request.content_type != media_type:
            raise UnsupportedMediaType(self.request.content_type)


def body_bytes(request: HttpRequest) -> int:
    """How long the body is that came with `request`; 0 where its length makes no sense."""
    length = request.META.get("CONTENT_LENGTH") or ""
    return int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0


def _json(answer: Any, **more: Any) -> HttpResponse:
    response = HttpResponse(JSONRenderer().render(answer), **more)
    response.headers["Content-Type"] = "application/json"
    return response
