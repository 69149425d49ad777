"""The sign-up page: it takes an invitation from its address, and makes an account in one transaction or not at all."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.account.views import SignupView
from django.db import transaction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render

from marketplace.domain.errors import Refused


class SignUp(SignupView):
    """The address of an invitation fills its field."""

    def get_initial(self) -> dict[str, Any]:
        return {**super().get_initial(), "invitation": self.request.GET.get("code", "")[:100]}


def in_one_transaction(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """An account and its invitation stand or fall together."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            with transaction.atomic():
                return view(request, *args, **kwargs)
        except Refused as refusal:
            words = {"what": "No account was made", "why": refusal, "do": "Ask an operator for an invitation."}
            return render(request, "error.html", words | {"status": refusal.status}, status=refusal.status)

    return guarded
