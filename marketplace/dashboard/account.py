"""One's own page: roles, keys, and for an operator invitations."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from marketplace.actions import invitations, keys
from marketplace.actions.erasure import erase_user
from marketplace.dashboard.access import strict
from marketplace.dashboard.forms import PlainForm
from marketplace.domain.access import Role, Scope
from marketplace.domain.errors import NotFound, Refused
from marketplace.models import roles_of, scopes_of_user


class KeyForm(PlainForm):
    prefix = "key"

    name = forms.CharField(max_length=64, help_text="What you call it.")
    scopes = forms.MultipleChoiceField(label="What it opens", widget=forms.CheckboxSelectMultiple)
    days = forms.IntegerField(
        label="Days until it expires", min_value=1, max_value=keys.MAX_DAYS, initial=keys.DEFAULT_DAYS
    )
    spending_limit = forms.DecimalField(
        label="Spending limit (tokens)", required=False, min_value=0, help_text="In all; no limit if left empty."
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        has = scopes_of_user(user)
        choices = [(scope.value, scope.value) for scope in Scope if scope in has]
        self.fields["scopes"].choices = choices  # type: ignore[attr-defined]


class InviteForm(PlainForm):
    prefix = "invite"

    roles = forms.MultipleChoiceField(choices=[(r.value, r.value) for r in Role], widget=forms.CheckboxSelectMultiple)
    note = forms.CharField(label="For whom", max_length=200, required=False)
    days = forms.IntegerField(
        label="Days until it expires", min_value=1, max_value=invitations.MAX_DAYS, initial=invitations.DEFAULT_DAYS
    )


class EraseForm(PlainForm):
    prefix = "erase"

    username = forms.CharField(label="Your user name, to be sure", max_length=150)


def show(request: HttpRequest, *, status: int = 200, **context: Any) -> HttpResponse:
    user: Any = request.user
    found = {
        "here": request.path,
        "roles": sorted(roles_of(user)),
        "keys": user.api_keys.all(),
        "form": KeyForm(user=user),
        "invitations": InviteForm() if user.is_staff else None,
        "erase": None if user.is_staff else EraseForm(),
    }
    return render(request, "account/index.html", found | context, status=status)


@strict
@login_required
def account(request: HttpRequest) -> HttpResponse:
    """The page; and making a key, which is shown in the answer itself and kept nowhere."""
    if request.method != "POST":
        return show(request)
    form = KeyForm(request.POST, user=request.user)
    if not form.is_valid():
        return show(request, form=form, status=400)
    try:
        return show(request, made=keys.make_key(user=request.user, **form.cleaned_data))
    except Refused as refusal:
        form.add_error(None, str(refusal))
        return show(request, form=form, status=refusal.status)


@strict
@login_required
@require_POST
def revoke_key(request: HttpRequest, key_id: UUID) -> HttpResponse:
    try:
        keys.revoke(key_id=key_id, user=request.user)
    except NotFound as refusal:
        raise Http404(str(refusal)) from None
    return redirect("account")


@strict
@login_required
@require_POST
def invite(request: HttpRequest) -> HttpResponse:
    if not request.user.is_staff:
        raise PermissionDenied("Inviting people is the operator's.")
    form = InviteForm(request.POST)
    if not form.is_valid():
        return show(request, invitations=form, status=400)
    made = invitations.invite(actor=request.user.get_username(), **form.cleaned_data)
    return show(request, invited=request.build_absolute_uri(f"{reverse('account_signup')}?code={made.code}"))


@strict
@login_required
@require_POST
def erase(request: HttpRequest) -> HttpResponse:
    """Erase the account of who asks, once they have typed its name."""
    form, username = EraseForm(request.POST), request.user.get_username()
    if not form.is_valid():
        return show(request, erase=form, status=400)
    if form.cleaned_data["username"] != username:
        form.add_error("username", "This is not your user name.")
        return show(request, erase=form, status=400)
    try:
        erase_user(username=username)
    except Refused as refusal:
        form.add_error(None, str(refusal))
        return show(request, erase=form, status=refusal.status)
    request.session.flush()
    return redirect("login")
