"""How a contributor's machine shows who it is: ``Authorization: Worker <uuid>.<secret>``."""

import hashlib
import hmac
import uuid

from django.contrib.auth.models import AnonymousUser
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from marketplace.models import Worker

SCHEME = "Worker"


class MachineAuthentication(BaseAuthentication):
    """`request.auth` becomes the `Worker` whose secret came; there is no user.

    A secret has 256 random bits, so that its plain SHA-256 is kept and compared (in constant time).
    """

    def authenticate(self, request: Request) -> tuple[AnonymousUser, Worker] | None:
        scheme, _, credentials = get_authorization_header(request).partition(b" ")
        if scheme.lower() != SCHEME.lower().encode():
            return None
        name, _, secret = credentials.strip().partition(b".")
        try:
            worker = Worker.objects.defer("device", "catalog").filter(pk=uuid.UUID(name.decode())).first()
        except ValueError:
            worker = None
        kept = worker.secret_sha256 if worker else ""
        if not hmac.compare_digest(hashlib.sha256(secret).hexdigest(), kept) or worker is None:
            raise AuthenticationFailed("This worker and secret are not known here; enrol the machine again.")
        return AnonymousUser(), worker

    def authenticate_header(self, request: Request) -> str:
        return SCHEME


class MachineAuthenticationScheme(OpenApiAuthenticationExtension):
    """How the OpenAPI schema says it."""

    target_class = MachineAuthentication
    name = "worker"

    def get_security_definition(self, auto_schema):
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Worker <uuid>.<secret>`, both from `POST /worker/enrol`.",
        }
