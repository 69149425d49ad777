"""How a program shows for whom it speaks: ``Authorization: Bearer <key>``."""

from django.contrib.auth.models import AbstractBaseUser
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from marketplace.actions.keys import open_with
from marketplace.domain.access import Scope
from marketplace.models import ApiKey

SCHEMES = (b"bearer", b"token")


class KeyAuthentication(BaseAuthentication):
    """`request.user` becomes the key's user, `request.auth` the key.

    A key without the scope `operate` leaves an operator's rights outside: its user is then, in this request alone, no
    operator, so that every question who may see or do what has the right answer.
    """

    def authenticate(self, request: Request) -> tuple[AbstractBaseUser, ApiKey] | None:
        scheme, _, secret = get_authorization_header(request).strip().partition(b" ")
        if scheme.lower() not in SCHEMES:
            return None
        key = open_with(secret.strip().decode("utf-8", "replace"))
        if key is None:
            raise AuthenticationFailed("This key is unknown, expired or revoked; log in and make another.")
        if Scope.OPERATE not in key.opens:
            key.user.is_staff = key.user.is_superuser = False
        return key.user, key

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class KeyAuthenticationScheme(OpenApiAuthenticationExtension):
    """How the OpenAPI schema says it."""

    target_class = KeyAuthentication
    name = "key"

    def get_security_definition(self, auto_schema):
        return {"type": "http", "scheme": "bearer", "description": "An API key, from the page Keys or `POST /keys`."}
