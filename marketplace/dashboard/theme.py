"""Light, dark, or as the system has it: a cookie, which the server reads."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme

from marketplace.dashboard.access import strict
from marketplace.dashboard.context import THEME_COOKIE, THEMES

YEAR_SECONDS = 365 * 24 * 3600


@strict
def choose(request: HttpRequest) -> HttpResponse:
    """Keep the choice for a year and go back to where it was made."""
    back = request.POST.get("next", "")
    here = url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()}, require_https=request.is_secure())
    response = redirect(back if here else "home")
    if request.method == "POST" and (theme := request.POST.get("theme")) in THEMES:
        secure = settings.SESSION_COOKIE_SECURE
        response.set_cookie(THEME_COOKIE, str(theme), YEAR_SECONDS, secure=secure, httponly=True, samesite="Lax")
    return response
