"""Who may call what, and see what. The sandbox is open, on loopback; everything else wants a key or a log-in."""

from collections.abc import Collection
from typing import Any, TypeVar

from django.conf import settings
from django.db.models import Model, QuerySet
from rest_framework.permissions import SAFE_METHODS, BasePermission

from marketplace.domain.access import NEEDED, Scope
from marketplace.models import ApiKey, Worker, scopes_of_user

Row = TypeVar("Row", bound=Model)


def needed_scopes(view: Any, method: str) -> Collection[Scope]:
    """The scopes of which a call by `method` needs one: `read_scope` to look, `scope` to do.

    A view that says nothing is the operator's.
    """
    needed = getattr(view, "read_scope" if method in SAFE_METHODS else "scope", Scope.OPERATE)
    return needed if isinstance(needed, frozenset) else {needed}


class Scoped(BasePermission):
    """Anybody in the sandbox; elsewhere, who has a scope that the view needs.

    A key is held to its scopes in the sandbox too.
    """

    def has_permission(self, request, view) -> bool:
        needed = needed_scopes(view, request.method)
        if isinstance(request.auth, ApiKey):
            self.message = f"This key does not have the scope {' or '.join(sorted(needed))}, which this call needs."
            return not request.auth.opens.isdisjoint(needed)
        if settings.SANDBOX:
            return True
        roles = " or ".join(sorted(NEEDED[scope].value for scope in needed if scope in NEEDED))
        self.message = f"This call is for accounts with the role {roles}; ask an operator for it."
        return not scopes_of_user(request.user).isdisjoint(needed)


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
