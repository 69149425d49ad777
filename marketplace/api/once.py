"""`Idempotency-Key`: a call that changes something may be sent again, and does it once."""

import json
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from marketplace.actions.once import MAX_LENGTH, canonical, once

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"  # "true" on an answer that was given before
PARAMETER = OpenApiParameter(
    HEADER,
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description=(
        f"1 to {MAX_LENGTH} printable characters of your own choice, a new one for each thing to be done. The same key "
        "with the same request does it once, however often it is sent, and gets the first answer again, with "
        f"`{REPLAYED}: true`. With another request it is refused (422). A refused request leaves its key free. Keys "
        "belong to your account and the API key that they came with (in the sandbox, without a log-in, to the client "
        "that the request names, or to everybody) and are kept for a day, unless the "
        "operator has set POLICY_IDEMPOTENCY_KEY_SECONDS."
    ),
)

Post = Callable[..., Response]


def _client(view: Any, request: Request) -> str:
    """In the sandbox, where nobody is logged in, a client stands for its own keys."""
    named = request.data.get("client_address") if isinstance(request.data, Mapping) else None
    return named if view.acting_user is None and isinstance(named, str) else ""


def answered_once(post: Post) -> Post:
    """The view's method, which with an `Idempotency-Key` acts once and answers the same thing again."""

    @wraps(post)
    def wrapped(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        key = request.headers.get(HEADER)
        if key is None:
            return post(view, request, *args, **kwargs)

        def act() -> bytes:
            content: bytes = JSONRenderer().render(post(view, request, *args, **kwargs).data)
            return content

        # Another credential of the same user may be allowed less, and is not given what this one was answered.
        asked = canonical(request.method, request.path, request.data, view.api_key and str(view.api_key.pk))
        answer, replayed = once(user=view.acting_user, client=_client(view, request), key=key, request=asked, act=act)
        return Response(json.loads(answer), headers={REPLAYED: "true"} if replayed else None)

    return wrapped
