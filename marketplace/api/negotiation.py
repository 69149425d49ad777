"""Who asks: a program, or a person's browser."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.utils.cache import patch_vary_headers

View = Callable[..., HttpResponseBase]


def wants_page(request: HttpRequest) -> bool:
    """Does the caller prefer HTML? A browser says so; curl's ``*/*`` and an absent header are a program's."""
    return request.get_preferred_type(["application/json", "text/html"]) == "text/html"


def by_accept(*, program: View, browser: View) -> View:
    """One address with two answers: `browser`'s for a caller that prefers HTML, else `program`'s."""

    @wraps(program)
    def view(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = (browser if wants_page(request) else program)(request, *args, **kwargs)
        patch_vary_headers(response, ["Accept"])
        return response

    return view
