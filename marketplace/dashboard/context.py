"""What every page's template may read."""

from django.conf import settings
from django.http import HttpRequest


def network(request: HttpRequest) -> dict[str, object]:
    apps = settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"]
    return {
        "sandbox": settings.SANDBOX,
        "version": settings.VERSION,
        "signup_open": settings.SIGNUP != "closed",
        "single_sign_on": apps[0] if apps else None,
    }
