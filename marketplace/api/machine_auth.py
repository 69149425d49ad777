"""How a contributor's machine shows who it is: ``Authorization: Worker <uuid>.<secret>``."""

import hashlib
import hmac
import uuid
from functools import cache

from django.contrib.auth.models import AnonymousUser
from django.db import connection
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from marketplace.models import Worker

SCHEME = "Worker"


def machine_of(authorization: bytes) -> Worker | None:
    """The `Worker` whose secret the header holds; None where it holds none.

    A secret has 256 random bits, so that its plain SHA-256 is kept and compared (in constant time).

    Raises:
        AuthenticationFailed: it is no worker's.
    """
    scheme, _, credentials = authorization.partition(b" ")
    if scheme.lower() != SCHEME.lower().encode():
        return None
    name, _, secret = credentials.strip().partition(b".")
    try:
        worker = _read(uuid.UUID(name.decode()))
    except ValueError:
        worker = None
    kept = worker.secret_sha256 if worker else ""
    if not hmac.compare_digest(hashlib.sha256(secret).hexdigest(), kept) or worker is None:
        raise AuthenticationFailed("This worker and secret are not known here; enrol the machine again.")
    return worker


def _read(pk: uuid.UUID) -> Worker | None:
    key = Worker._meta.pk.get_db_prep_value(pk, connection)
    return next(iter(Worker.objects.raw(_statement(), [key])), None)


@cache
def _statement() -> str:
    """Made once: Django's making it anew would cost each call of a machine more than asking it."""
    return Worker.objects.defer("device", "catalog").filter(pk=uuid.UUID(int=0)).query.sql_with_params()[0]


class MachineAuthentication(BaseAuthentication):
    """`request.auth` becomes the `Worker` whose secret came; there is no user."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, Worker] | None:
        worker = machine_of(get_authorization_header(request))
        return (AnonymousUser(), worker) if worker else None

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
