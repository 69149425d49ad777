"""The ledger's rows. The triggers of `marketplace/sql` move balances and refuse everything else."""

from django.db import models
from django.db.models import F, Q

from marketplace.domain.ledger import ONCE_A_JOB, AccountKind, Code
from marketplace.domain.money import MAX_MICRO
from marketplace.models.clock import DatabaseNow


def choices(values) -> list[tuple[str, str]]:
    return [(value.value, value.value) for value in values]


class Account(models.Model):
    """Holds tokens. `balance` is moved by the insertion of a transfer alone, `last_transfer` with it."""

    kind = models.CharField(max_length=10, choices=choices(AccountKind))
    name = models.CharField(max_length=100)  # a wallet's public name; an escrow's job; a stake's worker
    balance = models.BigIntegerField(default=0, help_text="Micro-tokens.")
    last_transfer = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "name"], name="account_name_once_a_kind"),
            models.CheckConstraint(condition=Q(kind__in=[k.value for k in AccountKind]), name="account_kind_known"),
            models.CheckConstraint(
                condition=Q(balance__gte=0) | Q(kind=AccountKind.ISSUANCE.value), name="account_not_overdrawn"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Transfer(models.Model):
    """A positive amount from one account to another. Never changed, never deleted."""

    source = models.ForeignKey(Account, models.PROTECT, related_name="transfers_out")
    destination = models.ForeignKey(Account, models.PROTECT, related_name="transfers_in")
    amount = models.BigIntegerField(help_text="Micro-tokens.")
    code = models.CharField(max_length=10, choices=choices(Code))
    idempotency_key = models.CharField(max_length=150, unique=True)
    job = models.ForeignKey("Job", models.PROTECT, null=True, blank=True, related_name="transfers")
    created_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        # One account's newest transfers, for its statement.
        indexes = [
            models.Index(fields=["source", "-id"], name="transfer_by_source"),
            models.Index(fields=["destination", "-id"], name="transfer_by_destination"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0, amount__lte=MAX_MICRO), name="transfer_amount_in_range"),
            models.CheckConstraint(condition=~Q(source=F("destination")), name="transfer_between_two"),
            models.CheckConstraint(condition=Q(code__in=[c.value for c in Code]), name="transfer_code_known"),
            models.CheckConstraint(
                condition=~Q(code__in=sorted(c.value for c in ONCE_A_JOB)) | Q(job__isnull=False),
                name="transfer_names_job",
            ),
            models.UniqueConstraint(
                fields=["job", "code"],
                condition=Q(code__in=sorted(c.value for c in ONCE_A_JOB)),
                name="transfer_code_once_a_job",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.amount} from {self.source_id} to {self.destination_id}"
