"""How often one address, and one user, may call: counted in Redis, a minute at a time, for all processes together.

What contributors' machines call is not counted: they beat all the time, many of them from one address, and nothing
of it opens without a secret of 256 bits.
"""

import logging
import math
import time
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from redis.exceptions import RedisError
from rest_framework.throttling import BaseThrottle

from marketplace.api import error_pages
from marketplace.api.negotiation import wants_page
from marketplace.cache import count

logger = logging.getLogger(__name__)

WINDOW_SECONDS = 60
TOO_OFTEN = "That was too often; try again in {} seconds."


def seconds_to_wait(kind: str, who: object) -> int:
    """Count a call of `who`, and answer 0, or how long to wait once there were more than `THROTTLES[kind]` a minute.

    While Redis is away nobody waits: the network answers without it, and so does this.
    """
    now = time.time()
    key = f"computenet:throttle:{kind}:{who}:{int(now // WINDOW_SECONDS)}"
    try:
        counted = count(key, 2 * WINDOW_SECONDS)
    except (RedisError, OSError) as problem:
        logger.warning("Calls are not counted: %s", problem)
        return 0
    if counted <= settings.THROTTLES[kind]:
        return 0
    return math.ceil(WINDOW_SECONDS - now % WINDOW_SECONDS)


def address_of(request: HttpRequest) -> str:
    """The caller's address; of IPv6 the /64 that one household or machine has to itself."""
    text = request.META.get("REMOTE_ADDR", "")
    try:
        address = ip_address(text)
    except ValueError:
        return text
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return ":".join(address.exploded.split(":")[:4])
    return str(address)


class PerUser(BaseThrottle):
    """REST framework's hook, once it is known who calls."""

    def allow_request(self, request: Any, view: Any) -> bool:
        self.left = seconds_to_wait("user", request.user.pk) if request.user.is_authenticated else 0
        return not self.left

    def wait(self) -> float:
        return self.left


class ThrottleMiddleware:
    """429 with `Retry-After` for an address that calls too often, and for a user of the pages who does."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code == 429 and "Retry-After" not in response.headers:  # the lock-out after wrong passwords
            response.headers["Retry-After"] = str(int(settings.AXES_COOLOFF_TIME.total_seconds()))
        return response

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        of_api = getattr(view, "cls", None)
        if not getattr(of_api, "counted", True):
            return None
        wait = seconds_to_wait("address", address_of(request))
        if not wait and of_api is None and request.user.is_authenticated:
            wait = seconds_to_wait("user", request.user.pk)
        return too_often(request, wait) if wait else None


def too_often(request: HttpRequest, wait: int) -> HttpResponse:
    sentence, headers = TOO_OFTEN.format(wait), {"Retry-After": str(wait)}
    if wants_page(request):
        return error_pages.page(request, 429, sentence, headers)
    return JsonResponse({"success": False, "error": sentence}, status=429, headers=headers)
