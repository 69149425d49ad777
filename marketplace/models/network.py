"""The network's one row of its own, and the record of who did what when."""

from django.db import models
from django.db.models import Q

from marketplace.models.clock import DatabaseNow
from marketplace.models.job import Assignment, Job
from marketplace.models.worker import Worker


class Network(models.Model):
    """The one row that holds the coordination switch and fair queueing's clock."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    coordination_active = models.BooleanField(default=True, help_text="Pending jobs are assigned by themselves.")
    switched_at = models.DateTimeField(null=True, blank=True)
    switched_by = models.CharField(max_length=150, blank=True)
    virtual_time = models.FloatField(default=0.0, help_text="Fair queueing's clock, in seconds of service.")
    worker_virtual_time = models.FloatField(default=0.0, help_text="The same among workers.")
    web_seen_at = models.DateTimeField(null=True, blank=True, help_text="The web process's last sign of life.")
    last_cycle_at = models.DateTimeField(null=True, blank=True)

    # An incident
    payouts_frozen_at = models.DateTimeField(null=True, blank=True, help_text="Since when verdicts wait to be paid.")
    payouts_frozen_by = models.CharField(max_length=150, blank=True)
    payouts_frozen_reason = models.TextField(blank=True)
    draining = models.BooleanField(default=False, help_text="No machine is given anything new.")

    class Meta:
        verbose_name_plural = "network"
        constraints = [models.CheckConstraint(condition=Q(id=1), name="network_one_row")]

    def __str__(self) -> str:
        return "the network"


class Event(models.Model):
    """Who changed what, when and why. Never changed, never deleted."""

    kind = models.CharField(max_length=40, help_text="What happened, such as job.verified.")
    job = models.ForeignKey(Job, models.PROTECT, null=True, blank=True, related_name="events")
    assignment = models.ForeignKey(Assignment, models.PROTECT, null=True, blank=True, related_name="events")
    worker = models.ForeignKey(Worker, models.PROTECT, null=True, blank=True, related_name="events")
    before = models.CharField(max_length=40, blank=True)
    after = models.CharField(max_length=40, blank=True)
    actor = models.CharField(max_length=150, help_text="client, worker, coordinator, or an operator's name.")
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.kind
