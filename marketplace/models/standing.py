"""A contributor's standing: every change of its reputation, stakes on their way out, and rejections it contests."""

from django.db import models
from django.db.models import Q

from marketplace.models.clock import DatabaseNow
from marketplace.models.job import Assignment, Verdict
from marketplace.models.worker import Contributor, Worker


class ReputationChange(models.Model):
    """One move of a contributor's reputation, with its reason. Never changed, never deleted."""

    contributor = models.ForeignKey(Contributor, models.PROTECT, related_name="reputation_changes")
    assignment = models.ForeignKey(Assignment, models.PROTECT, null=True, blank=True, related_name="reputation_changes")
    before = models.FloatField()
    after = models.FloatField()
    reason = models.TextField()
    actor = models.CharField(max_length=150)
    created_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.before:g} → {self.after:g}"


class Unbonding(models.Model):
    """Stake that a contributor takes out: it waits, and a slash still reaches it, until `release_at`."""

    worker = models.ForeignKey(Worker, models.PROTECT, related_name="unbondings")
    amount = models.BigIntegerField(help_text="Micro-tokens asked for.")
    release_at = models.DateTimeField()
    released_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(amount__gt=0), name="unbonding_amount_positive")]
        indexes = [models.Index(fields=["release_at"], condition=Q(released_at=None), name="unbonding_due")]

    def __str__(self) -> str:
        return f"{self.amount} of {self.worker}"


class Contest(models.Model):
    """A contributor's objection to a rejection, and what an operator decided."""

    class Outcome(models.TextChoices):
        OPEN = "open"
        UPHELD = "upheld"  # the rejection stands
        OVERTURNED = "overturned"  # the slash and the reputation are given back

    verdict = models.OneToOneField(Verdict, models.PROTECT, related_name="contest")
    note = models.TextField()
    opened_by = models.CharField(max_length=150)
    outcome = models.CharField(max_length=10, choices=Outcome.choices, default=Outcome.OPEN)
    decided_by = models.CharField(max_length=150, blank=True)
    decided_note = models.TextField(blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(outcome__in=["open", "upheld", "overturned"]), name="contest_outcome_known"
            )
        ]

    def __str__(self) -> str:
        return f"{self.outcome} contest of {self.verdict}"
