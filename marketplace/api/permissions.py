"""Who may call what, and see what. The sandbox is open, on loopback; everything else wants a signed-in user."""

from typing import Any, TypeVar

from django.conf import settings
from django.db.models import Model, QuerySet
from rest_framework.permissions import BasePermission, IsAdminUser, IsAuthenticated

from marketplace.models import Worker

Row = TypeVar("Row", bound=Model)


class SandboxOrSignedIn(BasePermission):
    """Anybody in the sandbox; a signed-in user elsewhere."""

    message = "Sign in: outside the sandbox every call needs a user."

    def has_permission(self, request, view) -> bool:
        return settings.SANDBOX or IsAuthenticated().has_permission(request, view)


class SandboxOrOperator(BasePermission):
    """Anybody in the sandbox; an operator (staff) elsewhere."""

    message = "This call is the operator's."

    def has_permission(self, request, view) -> bool:
        return settings.SANDBOX or IsAdminUser().has_permission(request, view)


class IsMachine(BasePermission):
    """A contributor's machine that showed its secret, in the sandbox too."""

    message = "This call is a worker's: send `Authorization: Worker <uuid>.<secret>`."

    def has_permission(self, request, view) -> bool:
        return isinstance(request.auth, Worker)


def seen_by(user: Any, rows: QuerySet[Row], *, owner: str) -> QuerySet[Row]:
    """Those of `rows` that `user` may see: all in the sandbox and for an operator, else those whose `owner` it is."""
    if settings.SANDBOX or user.is_staff:
        return rows
    return rows.filter(**{owner: user.pk})
