"""What an incident leaves behind: verdicts whose payment waits, and answers that were checked once more."""

from django.db import models
from django.db.models import Q

from marketplace.models.clock import DatabaseNow
from marketplace.models.job import Assignment, Verdict


class HeldVerdict(models.Model):
    """A verdict that was found while payouts were frozen. What follows from it waits until they are thawed."""

    verdict = models.OneToOneField(Verdict, models.PROTECT, related_name="held")
    scalars = models.JSONField(default=dict, blank=True, help_text="The accepted result's numbers.")
    held_at = models.DateTimeField(db_default=DatabaseNow())
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["id"], condition=Q(settled_at=None), name="held_verdict_waiting")]

    def __str__(self) -> str:
        return f"{self.verdict}, held"


class Reverification(models.Model):
    """One answer checked again with new randomness. It moves no money and changes no verdict."""

    assignment = models.ForeignKey(Assignment, models.PROTECT, related_name="reverifications")
    outcome = models.CharField(
        max_length=12, blank=True, help_text="accepted, rejected, inconclusive, or missing; empty while it waits."
    )
    method = models.CharField(max_length=200, blank=True)
    reason = models.TextField(blank=True)
    fault = models.CharField(max_length=10, blank=True)
    measured = models.FloatField(null=True, blank=True)
    tolerance = models.FloatField(null=True, blank=True)
    bound = models.TextField(blank=True)
    error_chance = models.FloatField(default=0.0)
    detail = models.JSONField(default=dict, blank=True)
    seed = models.CharField(max_length=64, blank=True, help_text="Hex; this check's randomness.")
    seconds = models.FloatField(default=0.0, help_text="What checking took.")
    actor = models.CharField(max_length=150)
    asked_at = models.DateTimeField(db_default=DatabaseNow())
    sent_at = models.DateTimeField(null=True, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["sent_at"], condition=Q(checked_at=None), name="reverification_waiting")]

    def __str__(self) -> str:
        return f"{self.outcome or 'waiting'}, again"

    @property
    def before(self) -> str:
        return self.assignment.verdict.outcome

    @property
    def differs(self) -> bool:
        return self.checked_at is not None and self.outcome != self.before
