"""What every page's template may read."""

from django.conf import settings
from django.http import HttpRequest


def network(request: HttpRequest) -> dict[str, object]:
    return {"sandbox": settings.SANDBOX, "version": settings.VERSION}
