"""Who may look at what. The sandbox shows everything to everybody; elsewhere a page needs a log-in."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.cache import never_cache

from marketplace.domain.access import NEEDED, Scope
from marketplace.models import Client, Job, scopes_of_user

View = Callable[..., HttpResponseBase]


@dataclass(frozen=True)
class Viewer:
    """What a page shows depends on this alone, so that all who see the same share one rendering."""

    sees_all: bool
    operates: bool  # may switch coordination
    user_id: int = 0  # where it sees all, nobody's
    scopes: frozenset[Scope] = frozenset(Scope)  # what its forms may do

    @property
    def key(self) -> str:
        return f"{'operator' if self.operates else 'user'}:{'all' if self.sees_all else self.user_id}"

    def clients(self) -> QuerySet[Client]:
        return Client.objects.all() if self.sees_all else Client.objects.filter(user_id=self.user_id)

    def jobs(self) -> QuerySet[Job]:
        return Job.objects.all() if self.sees_all else Job.objects.filter(client__user_id=self.user_id)


def viewer_of(user: Any) -> Viewer | None:
    """The viewer that `user` (anonymous or not) is; None where there is nothing for it to see."""
    if settings.SANDBOX:
        return Viewer(sees_all=True, operates=True)
    if not user.is_authenticated or not user.is_active:
        return None
    if user.is_staff:
        return Viewer(sees_all=True, operates=True)
    return Viewer(sees_all=False, operates=False, user_id=user.pk, scopes=scopes_of_user(user))


def strict(view: View) -> View:
    """A page of ours: never cached."""

    @never_cache
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return view(request, *args, **kwargs)

    return guarded


def page(view: View) -> View:
    """A page of ours that wants a log-in outside the sandbox.

    The view gets the viewer as its second argument.
    """

    @strict
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        viewer = viewer_of(request.user)
        if viewer is None:
            return redirect_to_login(request.get_full_path())
        request.viewer = viewer  # type: ignore[attr-defined]  # for what frames the page
        return view(request, viewer, *args, **kwargs)

    return guarded


def require_operator(viewer: Viewer) -> None:
    """
    Raises:
        PermissionDenied: this is the operator's.
    """
    require_scope(viewer, Scope.OPERATE)


def require_scope(viewer: Viewer, scope: Scope) -> None:
    """
    Raises:
        PermissionDenied: the account does not have the role.
    """
    if scope not in viewer.scopes:
        raise PermissionDenied(f"This is for accounts with the role {NEEDED[scope].value}; ask an operator for it.")


def acting_user(request: HttpRequest) -> Any:
    """The user that an action is done for; None for a person of the sandbox who is not logged in."""
    return request.user if request.user.is_authenticated else None


def actor_name(request: HttpRequest) -> str:
    """Who an event says it was."""
    return request.user.get_username() or "dashboard"
