"""What the API's views and serializers share."""

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.generics import GenericAPIView, ListAPIView
from rest_framework.pagination import LimitOffsetPagination
from rest_framework.response import Response

from marketplace.api.once import PARAMETER, answered_once
from marketplace.domain.access import Scope
from marketplace.models import ApiKey

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000


class Strict(serializers.Serializer):
    """A request's body. A field that the call does not know is refused by its name.

    `example` is what the browsable API's form and the documentation begin with.
    """

    example: ClassVar[Mapping[str, Any]] = {}
    default_error_messages = {"invalid": "This must be a JSON object."}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if isinstance(data, Mapping):
            unknown = sorted(set(data) - set(self.fields))
            if unknown:
                known = f"takes {', '.join(self.fields)}" if self.fields else "takes none"
                raise ValidationError({unknown[0][:60]: [f"There is no such field; this call {known}."]})
        return super().to_internal_value(data)

    def get_initial(self) -> dict[str, Any]:
        return dict(self.example) if not hasattr(self, "initial_data") else super().get_initial()


@cache
def shape(serializer: type[serializers.Serializer]) -> serializers.Serializer:
    """One instance for all requests: it keeps nothing of what it reads, and making one costs more than reading does."""
    return serializer()


class Nothing(Strict):
    """The body of a call that takes none."""


class Refusal(serializers.Serializer):
    """A refused request: nothing was changed."""

    success = serializers.BooleanField(default=False)
    error = serializers.CharField(help_text="One sentence.")


class Missing(serializers.Serializer):
    """What is not there, or not the asker's to see."""

    error = serializers.CharField(help_text="One sentence.")


def documented(answer: Any, *, missing: bool = False, refused: bool = True, once: bool = False, **more: Any) -> Any:
    """`extend_schema` with the answer of a call and the refusals that it may give.

    A call that changes something is `once`: with an `Idempotency-Key` it does so once, however often it is sent.
    """
    responses: dict[Any, Any] = {200: answer}
    if refused:
        responses[400] = OpenApiResponse(Refusal, "Refused; nothing was changed.")
    if missing:
        responses[404] = OpenApiResponse(Missing, "There is no such thing.")
    if not once:
        return extend_schema(responses=responses, **more)
    responses[422] = OpenApiResponse(Refusal, "The Idempotency-Key was used for another request.")
    described = extend_schema(responses=responses, parameters=[PARAMETER, *more.pop("parameters", ())], **more)
    return lambda post: described(answered_once(post))


class Guarded:
    """What a call needs of a key or a role, outside the sandbox; a set where any of several will do."""

    scope: ClassVar[Scope | frozenset[Scope]] = Scope.OPERATE
    read_scope: ClassVar[Scope | frozenset[Scope]] = Scope.READ


class Call(Guarded, GenericAPIView):
    """A view that parses with its `serializer_class`, calls one action and renders."""

    serializer_class: Any = Nothing
    pagination_class: Any = None
    filter_backends: Any = ()

    @property
    def acting_user(self) -> AbstractBaseUser | None:
        """The user that an action is done for; None for a person of the sandbox who is not signed in."""
        return self.request.user if self.request.user.is_authenticated else None

    @property
    def api_key(self) -> ApiKey | None:
        """The key that the request came with, which what it spends is counted against."""
        return self.request.auth if isinstance(self.request.auth, ApiKey) else None

    @property
    def actor(self) -> str:
        """Who an event says it was."""
        return self.request.user.get_username() or "sandbox"

    def parsed(self) -> dict[str, Any]:
        """The request's body as its serializer read it.

        Raises:
            ValidationError
        """
        if not isinstance(self.request.data, Mapping):
            raise ValidationError("The body must be a JSON object.")
        kind: Any = self.get_serializer_class()
        return shape(kind).run_validation(self.request.data)


class Listing(Guarded, ListAPIView):
    """A list, a page at a time."""


class Page(LimitOffsetPagination):
    """``{<items>: [...], "count"}``, where `count` is the total. `of` makes one for a list's name."""

    items: ClassVar[str] = "items"
    default_limit = DEFAULT_LIMIT
    max_limit = MAX_LIMIT
    limit_query_description = f"How many at most; {DEFAULT_LIMIT} if left out, {MAX_LIMIT} at most."
    offset_query_description = "How many to pass over first."

    @classmethod
    def of(cls, items: str) -> type["Page"]:
        return type(f"{items.title()}Page", (cls,), {"items": items})

    def get_limit(self, request) -> int:
        return self._whole(request, "limit", DEFAULT_LIMIT, minimum=1, maximum=MAX_LIMIT)

    def get_offset(self, request) -> int:
        return self._whole(request, "offset", 0, minimum=0, maximum=10**12)

    @staticmethod
    def _whole(request, name: str, default: int, *, minimum: int, maximum: int) -> int:
        text = request.query_params.get(name, str(default))
        if not (text.isascii() and text.isdigit() and len(text) <= 13 and minimum <= int(text) <= maximum):
            raise ValidationError({name: f"This must be a whole number from {minimum} to {maximum}."})
        return int(text)

    def get_paginated_response(self, data: list[Any]) -> Response:
        return Response({self.items: data, "count": self.count})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        count = {"type": "integer", "description": "How many there are in all."}
        return {"type": "object", "required": [self.items, "count"], "properties": {self.items: schema, "count": count}}
