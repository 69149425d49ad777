"""Accounts: inviting people, and what a new account may do."""

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Group
from django.db import transaction

from marketplace.actions.digests import digest
from marketplace.actions.events import record
from marketplace.domain.access import Role
from marketplace.domain.errors import Refused
from marketplace.models import Invitation, database_now

DEFAULT_DAYS, MAX_DAYS = 7, 90
UNUSABLE = "This invitation is unknown, used or expired; ask an operator for a new one."


@dataclass(frozen=True)
class Invited:
    invitation: Invitation
    code: str  # shown once, kept nowhere


def invite(*, roles: Collection[str], actor: str, note: str = "", days: int = DEFAULT_DAYS) -> Invited:
    """An invitation that lets one person sign up with `roles`.

    Raises:
        Refused: a role that there is not, a note that is too long, days that cannot be.
    """
    known = [role.value for role in Role]
    if not roles or set(roles) - set(known):
        raise Refused(f"roles must be some of {', '.join(known)}.")
    if not 1 <= days <= MAX_DAYS:
        raise Refused(f"days must be a whole number from 1 to {MAX_DAYS}.")
    if len(note) > 200 or not note.isprintable():
        raise Refused("note must be at most 200 printable characters.")
    code = secrets.token_urlsafe(24)
    with transaction.atomic():
        invitation = Invitation.objects.create(
            sha256=digest(code),
            roles=sorted(set(roles)),
            note=note,
            created_by=actor,
            expires_at=database_now() + timedelta(days=days),
        )
        record("account.invited", actor=actor, reason=f"invitation {invitation.pk}: {', '.join(invitation.roles)}")
    return Invited(invitation, code)


def is_open(code: str) -> bool:
    """Would this code let somebody in now?"""
    return Invitation.objects.filter(sha256=digest(code), used_at=None, expires_at__gt=database_now()).exists()


def accept(*, code: str, user: Any) -> None:
    """Spend an invitation for a new account, which gets its roles. Of two that show one code, one gets in.

    Raises:
        Refused: unknown, used or expired.
    """
    with transaction.atomic():
        now = database_now()
        rows = Invitation.objects.filter(sha256=digest(code), used_at=None, expires_at__gt=now)
        found = rows.first()
        if found is None or not rows.filter(pk=found.pk).update(used_at=now, used_by=user):
            raise Refused(UNUSABLE)
        give_roles(user=user, roles=found.roles, actor=found.created_by)


def give_roles(*, user: Any, roles: Collection[str], actor: str) -> None:
    """Add roles to an account. An operator gets every right of the admin."""
    with transaction.atomic():
        groups = [Group.objects.get_or_create(name=role)[0] for role in roles if role != Role.OPERATOR]
        user.groups.add(*groups)
        if Role.OPERATOR in roles:
            user.is_staff = user.is_superuser = True
            user.save(update_fields=["is_staff", "is_superuser"])
        record("account.roles", actor=actor, reason=f"{user.get_username()}: {', '.join(sorted(roles))}")
