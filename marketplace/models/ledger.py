"""The ledger's rows. The triggers of `marketplace/sql` move balances and refuse everything else."""

from django.db import models
from django.db.models import F, Q

from marketplace.domain.ledger import ONCE_A_JOB, AccountKind, Code
from marketplace.domain.money import MAX_MICRO
from marketplace.models.clock import DatabaseNow


def choices(values) -> list[tuple[str, str]]:
    return [(value.value, value.value) for value in values]


class Account(models.Model):
    """Holds tokens. `balance` is moved by the insertion of a transfer alone, `last_transfer` with it.

    That its kind is a known one and never changes is for the triggers: a CHECK would be read anew at every transfer.
    """

    kind = models.CharField(max_length=10, choices=choices(AccountKind))
    name = models.CharField(max_length=100)  # a wallet's public name; an escrow's job; a stake's worker
    balance = models.BigIntegerField(default=0, help_text="Micro-tokens.")
    last_transfer = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "name"], name="account_name_once_a_kind"),
            models.CheckConstraint(
                condition=Q(balance__gte=0) | Q(kind=AccountKind.ISSUANCE.value), name="account_not_overdrawn"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Transfer(models.Model):
    """A positive amount from one account to another. Never changed, never deleted.

    The insertion's trigger locks both accounts and asks their kinds, and no account is ever deleted: so neither needs a
    foreign key's own look at it, nor its code a CHECK.
    """

    source = models.ForeignKey(
        Account, models.PROTECT, related_name="transfers_out", db_constraint=False, db_index=False
    )
    destination = models.ForeignKey(
        Account, models.PROTECT, related_name="transfers_in", db_constraint=False, db_index=False
    )
    amount = models.BigIntegerField(help_text="Micro-tokens.")
    code = models.CharField(max_length=10, choices=choices(Code))
    idempotency_key = models.CharField(max_length=150)
    job = models.ForeignKey("Job", models.PROTECT, null=True, blank=True, related_name="transfers", db_index=False)
    created_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        # One account's newest transfers, for its statement.
        indexes = [
            models.Index(fields=["source", "-id"], name="transfer_by_source"),
            models.Index(fields=["destination", "-id"], name="transfer_by_destination"),
            models.Index(fields=["job"], condition=Q(job__isnull=False), name="transfer_by_job"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0, amount__lte=MAX_MICRO), name="transfer_amount_in_range"),
            models.CheckConstraint(condition=~Q(source=F("destination")), name="transfer_between_two"),
            # By bytes: one index for a key, and for all keys that begin alike.
            models.UniqueConstraint(
                fields=["idempotency_key"], name="transfer_key_once", opclasses=["varchar_pattern_ops"]
            ),
            models.UniqueConstraint(
                fields=["job", "code"],
                condition=Q(code__in=sorted(c.value for c in ONCE_A_JOB)),
                name="transfer_code_once_a_job",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.amount} from {self.source_id} to {self.destination_id}"
