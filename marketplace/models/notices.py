"""What people want to be told of, and what is on its way to them."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from marketplace.models.clock import DatabaseNow


class Kind(models.TextChoices):
    JOB_ENDED = "job_ended", "a job of mine ended"
    WORKER_SILENT = "worker_silent", "a worker of mine fell silent"
    SLASHED = "slashed", "a worker of mine was slashed"
    LOW_BALANCE = "low_balance", "a wallet of mine runs low"
    # operators'
    DISK = "disk", "the disk runs full"
    BEAT = "beat", "coordination stood still"
    BOOKS = "books", "the books do not add up"


OPERATORS = frozenset({Kind.DISK, Kind.BEAT, Kind.BOOKS})


class NoticeChoice(models.Model):
    """What one user is told of, and how. The webhook's secret is derived from `webhook_salt` and kept nowhere."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="notice_choice")
    kinds = models.JSONField(default=list)
    by_email = models.BooleanField(default=False)
    webhook_url = models.CharField(max_length=500, blank=True)
    webhook_salt = models.CharField(max_length=32, blank=True)

    def __str__(self) -> str:
        return f"of {self.user}"


class Notice(models.Model):
    """One thing to tell one user over one channel: an outbox. It is tried until it arrives or is given up."""

    class Channel(models.TextChoices):
        EMAIL = "email"
        WEBHOOK = "webhook"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="notices")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    channel = models.CharField(max_length=10, choices=Channel.choices)
    about = models.CharField(max_length=150, help_text="What it is about, once a channel: of two scans, one writes it.")
    subject = models.CharField(max_length=200)
    lines = models.JSONField(default=list)
    created_at = models.DateTimeField(db_default=DatabaseNow())
    due_at = models.DateTimeField(db_default=DatabaseNow())
    tries = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True, blank=True)
    given_up_at = models.DateTimeField(null=True, blank=True)
    problem = models.CharField(max_length=200, blank=True, help_text="Why the last try failed.")

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["due_at"], condition=Q(sent_at=None, given_up_at=None), name="notice_due")]
        constraints = [models.UniqueConstraint(fields=["user", "channel", "about"], name="notice_once_a_channel")]

    def __str__(self) -> str:
        return self.subject


class NoticeScan(models.Model):
    """The one row that says up to which event notices were written."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    event = models.BigIntegerField(default=0)
    at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="notice_scan_one_row")]

    def __str__(self) -> str:
        return f"up to event {self.event}"
