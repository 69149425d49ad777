"""Contributors, their workers, and the keys that enrol a machine."""

import uuid
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import models
from django.db.models import Q

from marketplace.domain import hours
from marketplace.models.clock import DatabaseNow
from marketplace.models.ledger import Account


class Contributor(models.Model):
    """The owner of workers. Reputation is its own, so that a new worker starts with it."""

    name = models.CharField(max_length=64, unique=True)
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="contributor"
    )
    wallet = models.OneToOneField(Account, models.PROTECT, related_name="contributor")
    reputation = models.FloatField(default=100.0, help_text="0 to 100.")
    verified = models.PositiveIntegerField(default=0, help_text="Answers that were right.")
    rejected = models.PositiveIntegerField(default=0, help_text="Answers that were wrong.")
    suspended_at = models.DateTimeField(null=True, blank=True, help_text="Since when it may have no active worker.")
    created_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(reputation__gte=0, reputation__lte=100), name="reputation_in_range")
        ]

    def __str__(self) -> str:
        return self.name


def heard_since(since: datetime) -> Q:
    """Workers whose machine (their own, or the one that stands in) has sent a heartbeat since."""
    return Q(host=None, last_heartbeat_at__gte=since) | Q(host__last_heartbeat_at__gte=since)


class Worker(models.Model):
    """One GPU (or the CPU) of a host, with one Celery worker process."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=64, unique=True, help_text="The label that its contributor chose: worker_id.")
    contributor = models.ForeignKey(Contributor, models.PROTECT, related_name="workers")
    stake = models.OneToOneField(Account, models.PROTECT, related_name="staked_worker")
    unbonding = models.OneToOneField(
        Account, models.PROTECT, null=True, blank=True, related_name="unbonding_worker", help_text="On its way out."
    )
    lent = models.BigIntegerField(default=0, help_text="Micro-tokens of its stake still owed to the treasury.")
    host = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="stand_ins",
        help_text="The worker whose machine computes for this one, in the sandbox; empty for its own machine.",
    )
    # What it says it is
    gpu_type = models.CharField(max_length=64)
    gpu_tag = models.CharField(max_length=64)
    compute_capacity = models.FloatField(help_text="Claimed TFLOPS.")
    memory_bytes = models.BigIntegerField(default=0)
    # What it showed that it is
    measured_rate = models.FloatField(null=True, blank=True, help_text="Measured matrix rate, in TFLOPS.")
    measured_at = models.DateTimeField(null=True, blank=True)
    claim_doubted = models.BooleanField(default=False, help_text="It could not show a fair part of what it claims.")
    # What its machine reported at enrolment
    device = models.JSONField(default=dict, blank=True)
    catalog = models.JSONField(default=dict, blank=True)
    protocol = models.PositiveSmallIntegerField(default=0)
    slots = models.PositiveSmallIntegerField(default=1, help_text="Assignments that its machine takes at a time.")
    secret_sha256 = models.CharField(max_length=64, blank=True)
    broker_secret_sha256 = models.CharField(max_length=64, blank=True)
    queue = models.CharField(max_length=140, blank=True)
    enrolled_at = models.DateTimeField(null=True, blank=True)
    # How it is
    is_active = models.BooleanField(default=True)
    standby = models.BooleanField(default=False, help_text="Takes a job only where no other worker could.")
    draining = models.BooleanField(default=False, help_text="Takes nothing new.")
    schedule = models.CharField(
        max_length=hours.LONGEST, blank=True, default="", help_text="When it takes jobs; empty for always."
    )
    time_zone = models.CharField(max_length=64, default="UTC", help_text="By whose clock the schedule is.")
    aside = models.CharField(
        max_length=200, blank=True, default="", help_text="Why its machine stands aside, in the machine's own words."
    )
    last_heartbeat_at = models.DateTimeField(null=True, blank=True)
    load = models.FloatField(null=True, blank=True, help_text="0 to 1.")
    memory_free_bytes = models.BigIntegerField(null=True, blank=True)
    temperature_celsius = models.FloatField(null=True, blank=True)
    jobs_completed = models.PositiveIntegerField(default=0)
    success_rate = models.FloatField(null=True, blank=True, help_text="0 to 1, of its last attempts; empty for none.")
    median_wait_seconds = models.FloatField(
        null=True, blank=True, help_text="From being given a job to beginning it, of its last attempts."
    )
    virtual_finish = models.FloatField(default=0.0, help_text="Where its turn comes, in fair queueing among workers.")
    registered_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(compute_capacity__gt=0), name="worker_capacity_positive"),
            models.CheckConstraint(condition=Q(slots__gte=1), name="worker_has_a_slot"),
            models.CheckConstraint(condition=Q(lent__gte=0), name="worker_owes_no_less_than_nothing"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def machine(self) -> "Worker":
        """The worker whose Celery worker computes for this one."""
        return self.host or self

    def why_resting(self, now: datetime) -> str:
        """Why it takes nothing new now, after "it"; empty where it would."""
        for each in {self.pk: self, self.machine.pk: self.machine}.values():
            if each.draining:
                return "is paused"
            if not is_open(each.schedule, each.time_zone, now):
                return f"takes jobs only at its hours ({each.schedule}, {each.time_zone})"
            if each.aside:
                return f"stands aside for its owner: {each.aside}"
        return ""

    def is_online(self, now: datetime, silent_after_seconds: float) -> bool:
        return was_heard(self.machine.last_heartbeat_at, now, silent_after_seconds)


def is_open(schedule: str, time_zone: str, now: datetime) -> bool:
    """Is it within a worker's hours?"""
    return not schedule or hours.is_open(hours.parse(schedule), now.astimezone(ZoneInfo(time_zone)))


def was_heard(heartbeat_at: datetime | None, now: datetime, silent_after_seconds: float) -> bool:
    return heartbeat_at is not None and now - heartbeat_at <= timedelta(seconds=silent_after_seconds)


class MatrixCopy(models.Model):
    """A matrix that was handed out to a machine, until the machine says that its copy is gone."""

    machine = models.ForeignKey(Worker, models.CASCADE, related_name="copies")
    matrix_sha256 = models.CharField(max_length=64, db_index=True)
    to_drop = models.BooleanField(default=False, help_text="Heartbeats' replies ask to drop it.")
    created_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        verbose_name_plural = "matrix copies"
        constraints = [models.UniqueConstraint(fields=["machine", "matrix_sha256"], name="matrix_copy_once_a_machine")]
        indexes = [models.Index(fields=["machine"], condition=Q(to_drop=True), name="matrix_copy_to_drop")]

    def __str__(self) -> str:
        return f"{self.matrix_sha256[:12]} at {self.machine}"


class EnrolmentKey(models.Model):
    """Opens enrolment once, for one worker. Only its digest is kept."""

    sha256 = models.CharField(max_length=64, unique=True)
    worker = models.ForeignKey(Worker, models.CASCADE, related_name="enrolment_keys")
    created_at = models.DateTimeField(db_default=DatabaseNow())
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"for {self.worker}"
