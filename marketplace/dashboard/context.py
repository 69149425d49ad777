"""What every page's template may read."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest


def network(request: HttpRequest) -> dict[str, object]:
    providers: dict[str, Any] = settings.SOCIALACCOUNT_PROVIDERS
    apps = providers["openid_connect"]["APPS"]
    return {
        "sandbox": settings.SANDBOX,
        "version": settings.VERSION,
        "signup_open": settings.SIGNUP != "closed",
        "single_sign_on": apps[0] if apps else None,
    }
