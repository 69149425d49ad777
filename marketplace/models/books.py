"""Whether the books added up, and when that was asked."""

from django.db import models

from marketplace.models.clock import DatabaseNow


class BooksCheck(models.Model):
    """One replay of the ledger from its first transfer: who asked for it, and what it found."""

    asked_by = models.CharField(max_length=150)
    asked_at = models.DateTimeField(db_default=DatabaseNow())
    sent_at = models.DateTimeField(null=True, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)
    seconds = models.FloatField(null=True, blank=True, help_text="What the replay took.")
    transfers = models.PositiveBigIntegerField(default=0)
    accounts = models.PositiveBigIntegerField(default=0)
    by_kind = models.JSONField(default=dict, help_text="Micro-tokens by kind of account.")
    problems = models.JSONField(default=list, help_text="The first of what does not add up, in sentences.")
    problem_count = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"asked by {self.asked_by}"

    @property
    def ok(self) -> bool:
        return self.checked_at is not None and not self.problem_count
