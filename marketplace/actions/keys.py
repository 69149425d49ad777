"""API keys: making, finding, limiting and revoking them."""

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import F, Q

from marketplace.actions.digests import digest
from marketplace.actions.events import record
from marketplace.domain.access import Role, Scope, scopes_of
from marketplace.domain.errors import Forbidden, NotFound, Refused
from marketplace.domain.money import in_digits, in_words, to_micro
from marketplace.models import ApiKey, DatabaseNow, database_now, roles_in, scopes_of_user

PREFIX = "cnk_"  # so that a key that lies about is known for what it is
MAX_KEYS = 50  # live ones of one user
DEFAULT_DAYS, MAX_DAYS = 90, 366

# A key is opened with each request, so in one statement: the key, and of its user what a request asks for.
USER = ("id", "username", "email", "is_staff", "is_superuser", "is_active")
ROLE = """EXISTS (SELECT 1 FROM auth_user_groups m JOIN auth_group g ON g.id = m.group_id
  WHERE m.user_id = u.id AND g.name = '{0}') AS in_{0}"""
OPEN = f"""
SELECT k.*, {", ".join(f"u.{name} AS user_{name}" for name in USER)},
  {", ".join(ROLE.format(role.value) for role in (Role.CLIENT, Role.CONTRIBUTOR))},
  k.last_used_at IS NULL OR k.last_used_at < {{minute_ago}} AS unnoted
FROM marketplace_apikey k JOIN auth_user u ON u.id = k.user_id
WHERE k.sha256 = %s AND k.revoked_at IS NULL AND k.expires_at > {{now}} AND u.is_active"""
CLOCK = {  # the form in which Django stores a moment on SQLite, as in `DatabaseNow`
    "sqlite": {
        "now": "strftime('%%Y-%%m-%%d %%H:%%M:%%f000', 'now')",
        "minute_ago": "strftime('%%Y-%%m-%%d %%H:%%M:%%f000', 'now', '-1 minute')",
    },
    "postgresql": {"now": "clock_timestamp()", "minute_ago": "clock_timestamp() - interval '1 minute'"},
}


@dataclass(frozen=True)
class MadeKey:
    key: ApiKey
    secret: str  # shown once, kept nowhere


def make_key(
    *,
    user: Any,
    name: str,
    scopes: Collection[str],
    days: int = DEFAULT_DAYS,
    spending_limit: object | None = None,
    by: ApiKey | None = None,
) -> MadeKey:
    """A new key of `user`'s. A key that makes one (`by`) makes none that is stronger than itself.

    Raises:
        Refused: a name, scopes, days or limit that cannot be; a scope that the user has not; too many keys.
        Forbidden: more than `by` may, or `by` has a spending limit.
    """
    if not 1 <= len(name) <= 64 or not name.isprintable():
        raise Refused("name must be 1 to 64 printable characters.")
    if not 1 <= days <= MAX_DAYS:
        raise Refused(f"days must be a whole number from 1 to {MAX_DAYS}.")
    limit = None if spending_limit is None else to_micro(spending_limit, name="spending_limit")
    asked = _scopes(scopes)
    has = scopes_of_user(user) if by is None else by.granted()
    if missing := sorted(asked - has):
        holder = "Your account" if by is None else "The key that you make it with"
        raise (Refused if by is None else Forbidden)(f"{holder} does not have the scope {missing[0]}.")
    now = database_now()
    expires_at = now + timedelta(days=days)
    if by is not None:
        if by.spending_limit is not None:
            raise Forbidden("A key with a spending limit makes no keys; log in to make one.")
        expires_at = min(expires_at, by.expires_at)
    secret = PREFIX + secrets.token_urlsafe(32)
    with transaction.atomic():
        if live_keys(user, now).count() >= MAX_KEYS:
            raise Refused(f"You have {MAX_KEYS} keys; revoke one first.")
        key = ApiKey.objects.create(
            user=user,
            name=name,
            sha256=digest(secret),
            scopes=sorted(scope.value for scope in asked),
            spending_limit=limit,
            expires_at=expires_at,
        )
        record("key.made", actor=user.get_username(), reason=f"{key.id}: {', '.join(key.scopes)}")
    return MadeKey(key, secret)


def _scopes(scopes: Collection[str]) -> frozenset[Scope]:
    known = {scope.value: scope for scope in Scope}
    if not scopes or any(scope not in known for scope in scopes):
        raise Refused(f"scopes must be some of {', '.join(known)}.")
    return frozenset(known[scope] for scope in scopes)


def live_keys(user: Any, now: datetime) -> Any:
    return ApiKey.objects.filter(user=user, revoked_at=None, expires_at__gt=now)


def open_with(secret: str) -> ApiKey | None:
    """The live key whose secret this is, of a user that is active; its use is noted to the minute.

    It says what it `opens`. Of its user it has what `USER` names; all else is read where somebody asks for it.
    """
    found = next(iter(ApiKey.objects.raw(OPEN.format(**CLOCK[connection.vendor]), [digest(secret)])), None)
    if found is None:
        return None
    told: dict[str, Any] = vars(found)
    people: Any = get_user_model()
    fields = [field for field in people._meta.concrete_fields if field.name in USER]  # in the order of `from_db`
    known = [field.to_python(told[f"user_{field.name}"]) for field in fields]
    found.user = people.from_db(connection.alias, [field.name for field in fields], known)
    roles = roles_in([role for role in Role if told.get(f"in_{role.value}")], is_staff=found.user.is_staff)
    found.opens = scopes_of(roles) & {Scope(scope) for scope in found.scopes}
    if told["unnoted"]:
        ApiKey.objects.filter(pk=found.pk).update(last_used_at=DatabaseNow())
    return found


def revoke(*, key_id: UUID, user: Any) -> ApiKey:
    """End a key at once. Its owner may, and an operator. Revoking twice does nothing more.

    Raises:
        NotFound: no such key of theirs.
    """
    rows = ApiKey.objects.all() if user.is_staff else ApiKey.objects.filter(user=user)
    with transaction.atomic():
        if rows.filter(pk=key_id, revoked_at=None).update(revoked_at=database_now()):
            record("key.revoked", actor=user.get_username(), reason=str(key_id))
        found = rows.filter(pk=key_id).first()
    if found is None:
        raise NotFound(f"You have no key {key_id}.")
    return found


def spend(key: ApiKey | None, micro: int) -> None:
    """Count `micro` against the key that a request came with, in the transaction that moves the tokens.

    Raises:
        Forbidden: the key's limit would be passed.
    """
    if key is None:
        return
    within = Q(spending_limit=None) | Q(spending_limit__gte=F("spent") + micro)
    if not ApiKey.objects.filter(within, pk=key.pk, revoked_at=None).update(spent=F("spent") + micro):
        key.refresh_from_db()
        left = in_words((key.spending_limit or 0) - key.spent)
        raise Forbidden(f"The key {key.name} may spend {left} more, and this takes {in_digits(micro)}.")
