"""Measurements of a GPU's speed."""

import uuid

from django.db import models
from django.db.models import Q

from marketplace.models.clock import DatabaseNow
from marketplace.models.worker import Worker


class Challenge(models.Model):
    """One measurement of a worker's machine: `rounds` of X ← (A·X mod 61)² mod 61 on n × n, opened at random columns.

    The clock runs from `started_at`, when the seed was given out, to `committed_at`, when the Merkle root came.
    """

    class State(models.TextChoices):
        WAITING = "waiting"  # the machine has not asked for the seed yet
        STARTED = "started"  # it computes
        COMMITTED = "committed"  # its root is in, and columns were asked for
        PASSED = "passed"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    worker = models.ForeignKey(Worker, models.PROTECT, related_name="challenges")
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    n = models.PositiveIntegerField()
    rounds = models.PositiveSmallIntegerField()
    seed = models.CharField(max_length=64, blank=True, help_text="Hex; drawn when the clock starts.")
    root = models.CharField(max_length=64, blank=True, help_text="Hex; what the machine committed to.")
    columns = models.JSONField(default=list, blank=True, help_text="Leaves that were asked for after that.")
    rate = models.FloatField(null=True, blank=True, help_text="TFLOPS.")
    reason = models.TextField(blank=True)
    offered_at = models.DateTimeField(null=True, blank=True, help_text="When a heartbeat's reply first named it.")
    started_at = models.DateTimeField(null=True, blank=True)
    committed_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["worker"], condition=Q(ended_at=None), name="challenge_one_open_a_worker")
        ]

    def __str__(self) -> str:
        return f"{self.state} challenge of {self.worker}"
