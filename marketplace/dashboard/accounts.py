"""Signing up: open, by invitation, or not at all, as the operator has set. allauth does the rest."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.http import HttpRequest

from marketplace.actions import invitations
from marketplace.actions.names import NAME

# A contributor's wallet has its user's name.
username_validators = [
    RegexValidator(
        rf"\A(?:{NAME.pattern})\Z",
        "A name is 1 to 64 letters, digits or any of _ . : @ - and begins with a letter or a digit.",
    )
]


class AccountAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return settings.SIGNUP != "closed"


class SocialAdapter(DefaultSocialAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        return settings.SIGNUP != "closed"


class InvitationForm(forms.Form):
    """The part of the sign-up form that is ours; allauth adds name, address and password."""

    invitation = forms.CharField(label="Invitation", max_length=100, widget=forms.TextInput({"autocomplete": "off"}))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["invitation"].required = settings.SIGNUP == "invitation"
        if settings.SIGNUP == "open":
            self.fields["invitation"].help_text = "Only if you were given one."

    def clean_invitation(self) -> str:
        code = self.cleaned_data["invitation"].strip()
        if code and not invitations.is_open(code):
            raise ValidationError(invitations.UNUSABLE)
        return code

    def signup(self, request: HttpRequest, user: Any) -> None:
        """What allauth calls once the account is made.

        Raises:
            Refused: the invitation was used in the meantime; the transaction around the page takes the account back.
        """
        if code := self.cleaned_data["invitation"]:
            invitations.accept(code=code, user=user)
        else:
            invitations.give_roles(user=user, roles=settings.SIGNUP_ROLES, actor="sign-up")
