"""One effect for one idempotency key: the answer is written down with what it answers, and given again."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import QuerySet

from marketplace.domain.errors import Conflict, KeyReused, Refused
from marketplace.models import IdempotencyKey, database_now

MAX_LENGTH = 100
WAIT_SECONDS = 10  # for the first request with the same key to be answered, on PostgreSQL
SWEEP = 1_000  # rows that one cycle forgets
BUSY = "The first request with this Idempotency-Key is still being answered; send it again in a moment."


class _Taken(Exception):
    """Somebody else was first with this key."""


def once(*, user: Any, key: str, request: bytes, act: Callable[[], bytes], client: str = "") -> tuple[bytes, bool]:
    """Do `act` unless this user has had it done under this key; answers what it answered, and whether that is old.

    The key's row and the effect commit together, or neither does: a refusal keeps nothing, and the key stays free.
    Of several at once one acts; the others wait for its commit and get its answer.

    Args:
        user: whose key it is; None for whoever is not logged in, in the sandbox.
        client: whose key it is among those of `user`; each client has keys of its own.
        request: what was asked, in one form for the same question.
        act: does it and answers the JSON of the answer; runs in a transaction, so it must not speak to the network.

    Raises:
        Refused: no key that can be one.
        KeyReused: the key came with another request before.
        Conflict: the first request is still being answered, or its answer cannot be read any more.
    """
    if not 1 <= len(key) <= MAX_LENGTH or not key.isprintable():
        raise Refused(f"An Idempotency-Key is 1 to {MAX_LENGTH} printable characters.")
    if client:
        key = hashlib.sha256(f"{client}\0{key}".encode()).hexdigest()
    asked = hashlib.sha256(request).hexdigest()
    if (known := _answered(user, key, asked)) is not None:
        return known, True
    try:
        with transaction.atomic():
            row = _claim(user, key, asked)
            answer = act()
            IdempotencyKey.objects.filter(pk=row.pk).update(answer=_cipher().encrypt(answer))
        return answer, False
    except _Taken:
        pass
    if (known := _answered(user, key, asked)) is None:
        raise Conflict(BUSY)
    return known, True


def _answered(user: Any, key: str, asked: str) -> bytes | None:
    row = IdempotencyKey.objects.filter(user=user, key=key).first()
    if row is None:
        return None
    if not hmac.compare_digest(row.request_sha256, asked):
        raise KeyReused("This Idempotency-Key was used for another request; choose a new one.")
    try:
        return _cipher().decrypt(bytes(row.answer))
    except InvalidToken:  # SECRET_KEY is another one now
        gone = "This was done before, and its answer cannot be read any more; look before you repeat it."
        raise Conflict(gone) from None


def _claim(user: Any, key: str, asked: str) -> IdempotencyKey:
    """The key's row, which nobody else has; waits for who is at it.

    Raises:
        _Taken: it was answered meanwhile.
        Conflict: whoever is at it takes too long.
    """
    postgres = connection.vendor == "postgresql"
    try:
        with transaction.atomic():
            if postgres:
                _lock_timeout(f"{WAIT_SECONDS}s")
            row = IdempotencyKey.objects.create(user=user, key=key, request_sha256=asked)
    except IntegrityError:
        raise _Taken from None
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) == "55P03":  # lock_not_available
            raise Conflict(BUSY) from None
        raise
    if postgres:
        _lock_timeout("0")  # what follows waits as it always does
    return row


def _lock_timeout(value: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [value])


def _cipher() -> Fernet:
    key = hmac.digest(settings.SECRET_KEY.encode(), b"computenet idempotency answers", "sha256")
    return Fernet(base64.urlsafe_b64encode(key))


def forget_old() -> int:
    """What a cycle does: forget keys that are past their time. Answers how many."""
    found = old(database_now()).order_by("created_at").values_list("pk", flat=True)
    return IdempotencyKey.objects.filter(pk__in=list(found[:SWEEP])).delete()[0]


def old(now: datetime) -> QuerySet[IdempotencyKey]:
    return IdempotencyKey.objects.filter(
        created_at__lt=now - timedelta(seconds=settings.POLICY.idempotency_key_seconds)
    )


def canonical(*parts: Any) -> bytes:
    """The same bytes for the same request, whatever the order of its fields."""
    return json.dumps(parts, sort_keys=True).encode()
