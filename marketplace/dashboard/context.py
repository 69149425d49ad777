"""What every page's template may read."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from marketplace.dashboard.access import Viewer, viewer_of
from marketplace.domain.access import Scope

THEMES = ("auto", "light", "dark")
THEME_COOKIE = "theme"

# What is linked from every page, in order: what it is called, its route, and who has a use for it.
NAVIGATION = (
    ("Home", "home", Scope.READ),
    ("Market", "market", Scope.READ),
    ("Jobs", "jobs", Scope.READ),
    ("New job", "new-job", Scope.SUBMIT),
    ("Wallet", "wallet", Scope.READ),
    ("Ledger", "ledger", Scope.READ),
    ("Add a machine", "add-machine", Scope.CONTRIBUTE),
)


def theme_of(request: HttpRequest) -> str:
    """What the viewer chose. The server writes it into the page, so that none is seen in the wrong colours first."""
    chosen = request.COOKIES.get(THEME_COOKIE, "")
    return chosen if chosen in THEMES else THEMES[0]


def navigation(viewer: Viewer | None, path: str) -> list[dict[str, Any]]:
    """The links for `viewer`; the page at `path` is marked as the current one."""
    links: list[dict[str, Any]] = []
    for label, route, scope in NAVIGATION:
        if viewer is None or scope not in viewer.scopes:
            continue
        url = reverse(route)
        links.append({"label": label, "url": url, "current": path == url or (route == "home" and path == "/")})
    return links


def network(request: HttpRequest) -> dict[str, object]:
    providers: dict[str, Any] = settings.SOCIALACCOUNT_PROVIDERS
    apps = providers["openid_connect"]["APPS"]
    viewer = getattr(request, "viewer", None) or viewer_of(request.user)
    return {
        "sandbox": settings.SANDBOX,
        "version": settings.VERSION,
        "signup_open": settings.SIGNUP != "closed",
        "single_sign_on": apps[0] if apps else None,
        "theme": theme_of(request),
        "themes": THEMES,
        "navigation": navigation(viewer, request.path),
        "request_id": request.headers.get("X-Request-ID", ""),
    }
