"""What opens doors, and what is given: keys, invitations, grants, allowances, rights to datasets."""

import uuid
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from marketplace.domain.access import Role, Scope, scopes_of
from marketplace.domain.money import MAX_MICRO
from marketplace.models.audience import Audience
from marketplace.models.clock import DatabaseNow
from marketplace.models.dataset import Dataset
from marketplace.models.ledger import Account


def roles_of(user: Any) -> frozenset[Role]:
    """The groups of a user that are roles; staff are operators."""
    return roles_in(user.groups.values_list("name", flat=True), is_staff=user.is_staff)


def roles_in(groups: Iterable[str], *, is_staff: bool) -> frozenset[Role]:
    names = set(groups)
    held = {role for role in (Role.CLIENT, Role.CONTRIBUTOR) if role.value in names}
    return frozenset(held | {Role.OPERATOR} if is_staff else held)


def scopes_of_user(user: Any) -> frozenset[Scope]:
    """What a user may do by logging in; nothing for a stranger."""
    return scopes_of(roles_of(user)) if user.is_authenticated and user.is_active else frozenset()


class ApiKey(models.Model):
    """Opens the API for a user, no further than its scopes. Only the digest of its 256 random bits is kept."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=64, help_text="What its owner calls it.")
    sha256 = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(help_text="Some of read, submit, contribute, operate.")
    spending_limit = models.BigIntegerField(null=True, blank=True, help_text="Micro-tokens in all; empty for no limit.")
    spent = models.BigIntegerField(default=0, help_text="Micro-tokens.")
    created_at = models.DateTimeField(db_default=DatabaseNow())
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, help_text="To the minute.")

    opens: frozenset[Scope] = frozenset()  # what `granted` would say when a request came with it; no column

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=Q(spent__gte=0), name="api_key_spent_nothing_or_more"),
            models.CheckConstraint(
                condition=Q(spending_limit=None) | Q(spent__lte=F("spending_limit")), name="api_key_within_its_limit"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def granted(self) -> frozenset[Scope]:
        """What it opens now: its scopes, as far as its user still has them."""
        return scopes_of_user(self.user) & {Scope(scope) for scope in self.scopes}


class Invitation(models.Model):
    """Lets one person sign up, with roles. Only its code's digest is kept."""

    sha256 = models.CharField(max_length=64, unique=True)
    roles = models.JSONField()
    note = models.CharField(max_length=200, blank=True, help_text="For whom it is.")
    created_by = models.CharField(max_length=150)
    created_at = models.DateTimeField(db_default=DatabaseNow())
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    used_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="invitations_used"
    )

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"for {self.note or ', '.join(self.roles)}"


class Grant(models.Model):
    """Tokens from the treasury to a wallet, once or every month; the coordination cycle pays what is due."""

    class Period(models.TextChoices):
        ONCE = "once"
        MONTHLY = "monthly"

    wallet = models.ForeignKey(Account, models.PROTECT, related_name="grants")
    amount = models.BigIntegerField(help_text="Micro-tokens each time.")
    period = models.CharField(max_length=10, choices=Period.choices)
    created_by = models.CharField(max_length=150)
    created_at = models.DateTimeField(db_default=DatabaseNow())
    paid_for = models.CharField(max_length=10, blank=True, help_text="The last period paid: a month, or once.")
    stopped_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0, amount__lte=MAX_MICRO), name="grant_amount_in_range"),
            models.CheckConstraint(condition=Q(period__in=["once", "monthly"]), name="grant_period_known"),
        ]

    def __str__(self) -> str:
        return f"{self.period} to {self.wallet.name}"


class Allowance(models.Model):
    """What a wallet lets another take out of it: ERC-20's approve."""

    owner = models.ForeignKey(Account, models.PROTECT, related_name="allowances_given")
    spender = models.ForeignKey(Account, models.PROTECT, related_name="allowances_held")
    amount = models.BigIntegerField(help_text="Micro-tokens left.")
    changed_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["owner", "spender"], name="allowance_once_a_pair"),
            models.CheckConstraint(condition=Q(amount__gte=0, amount__lte=MAX_MICRO), name="allowance_in_range"),
            models.CheckConstraint(condition=~Q(owner=F("spender")), name="allowance_to_another"),
        ]

    def __str__(self) -> str:
        return f"{self.spender.name} of {self.owner.name}"


class DatasetOwner(models.Model):
    """Who brought a dataset's content, and may therefore use it. Several may have brought the same."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="owners")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="dataset_rights")
    label = models.CharField(max_length=120, blank=True, help_text="What the file was called when this user sent it.")
    audience = models.ForeignKey(
        Audience, models.PROTECT, null=True, blank=True, help_text="Who may receive it for this user; empty for all."
    )
    created_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["dataset", "user"], name="dataset_owner_once")]

    def __str__(self) -> str:
        return f"{self.user} of {self.dataset}"
