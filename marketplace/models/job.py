"""Jobs, their attempts, and what came of them."""

import uuid

from django.db import models
from django.db.models import Q

from marketplace.domain.lifecycle import ENDED, LIVE, AssignmentState, Fault, JobState
from marketplace.domain.money import MAX_MICRO
from marketplace.models.audience import Audience
from marketplace.models.client import Client
from marketplace.models.clock import DatabaseNow
from marketplace.models.dataset import Dataset
from marketplace.models.ledger import Account, choices
from marketplace.models.matrix import Matrix
from marketplace.models.worker import Worker


class ResourceClass(models.Model):
    """A demand that jobs share, so that classes of jobs are matched to workers and never each job to each worker."""

    gpu_tag = models.CharField(max_length=64, blank=True)
    min_memory_bytes = models.BigIntegerField(default=0)
    min_compute_capacity = models.FloatField(default=0.0)
    audience = models.ForeignKey(
        Audience, models.PROTECT, null=True, blank=True, help_text="Who may receive the data; empty for any worker."
    )

    class Meta:
        verbose_name_plural = "resource classes"
        constraints = [
            models.UniqueConstraint(
                fields=["gpu_tag", "min_memory_bytes", "min_compute_capacity"],
                condition=Q(audience=None),
                name="resource_class_once",
            ),
            models.UniqueConstraint(
                fields=["gpu_tag", "min_memory_bytes", "min_compute_capacity", "audience"],
                condition=Q(audience__isnull=False),
                name="resource_class_once_an_audience",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.gpu_tag or 'any'}, {self.min_memory_bytes} bytes, {self.min_compute_capacity} TFLOPS"


class Job(models.Model):
    """One model to fit on one dataset, with a reward. `attempt` counts its assignments and is the newest's fence."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    client = models.ForeignKey(Client, models.PROTECT, related_name="jobs", db_index=False)
    model_type = models.CharField(max_length=40)
    dataset = models.ForeignKey(Dataset, models.PROTECT, related_name="jobs", db_index=False)
    matrix = models.ForeignKey(
        Matrix, models.PROTECT, null=True, blank=True, related_name="jobs", db_index=False,
        help_text="What its recipe made of the dataset; empty where it is fitted as it was brought.",
    )  # fmt: skip
    params = models.JSONField(default=dict)
    features = models.JSONField(
        help_text="Columns of the matrix, in order; none where it was submitted before its matrix was made: then all."
    )
    target = models.PositiveIntegerField(null=True, blank=True, help_text="Column of the matrix.")
    seed = models.BigIntegerField()
    resource_class = models.ForeignKey(ResourceClass, models.PROTECT, related_name="jobs", db_index=False)
    reward = models.BigIntegerField(help_text="Micro-tokens.")
    escrow = models.OneToOneField(Account, models.PROTECT, related_name="escrowed_job")
    quoted_seconds = models.FloatField()
    virtual_start = models.FloatField(help_text="Its place in start-time fair queueing.")
    max_attempts = models.PositiveSmallIntegerField()
    deadline_at = models.DateTimeField()

    state = models.CharField(max_length=10, choices=choices(JobState), default=JobState.PENDING.value)
    attempt = models.PositiveSmallIntegerField(default=0)
    worker = models.ForeignKey(Worker, models.PROTECT, null=True, blank=True, related_name="jobs")
    fault = models.CharField(max_length=10, choices=choices(Fault), blank=True)
    reason = models.TextField(blank=True, help_text="Why it failed, was cancelled or waits again.")
    scalars = models.JSONField(default=dict, blank=True, help_text="The accepted result's numbers; arrays are stored.")
    request_id = models.CharField(max_length=64, db_default="", help_text="Of the request that submitted it; in logs.")
    submitted_at = models.DateTimeField(db_default=DatabaseNow())
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-submitted_at"]
        # Each change of state writes into every index of the row: so none begins as another does, a class has one of
        # its pending jobs alone, and a dataset none for what its name begins with.
        indexes = [
            models.Index(fields=["dataset"], name="job_by_dataset"),
            models.Index(fields=["matrix"], condition=Q(matrix__isnull=False), name="job_by_matrix"),
            models.Index(
                fields=["resource_class", "virtual_start"], condition=Q(state="pending"), name="job_pending_by_class"
            ),
            models.Index(fields=["deadline_at"], condition=Q(ended_at=None), name="job_open_deadline"),
            models.Index(fields=["state", "-submitted_at"], name="job_by_state"),
            models.Index(fields=["client", "-submitted_at"], name="job_by_client"),
            models.Index(fields=["-submitted_at"], name="job_newest"),
            models.Index(fields=["client"], condition=Q(ended_at=None), name="job_open_by_client"),
            # What the network's figures count: open jobs, and those that ended since the last tally.
            models.Index(fields=["state", "reward"], condition=Q(ended_at=None), name="job_open_rewards"),
            models.Index(fields=["ended_at", "state"], condition=Q(ended_at__isnull=False), name="job_by_end"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=[s.value for s in JobState]), name="job_state_known"),
            models.CheckConstraint(condition=Q(reward__gt=0, reward__lte=MAX_MICRO), name="job_reward_in_range"),
            models.CheckConstraint(
                condition=Q(state__in=sorted(s.value for s in ENDED), ended_at__isnull=False)
                | (~Q(state__in=sorted(s.value for s in ENDED)) & Q(ended_at__isnull=True)),
                name="job_ended_at_with_its_end",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def fitted_columns(self) -> list[int]:
        """The columns of its matrix that are fitted on, in order. What was asked is never changed, so a job that waited
        for its matrix has those of the matrix: all but the target's."""
        if self.features or self.matrix is None:
            return self.features
        return [column for column in range(self.matrix.matrix_columns) if column != self.matrix.target]

    @property
    def fitted_target(self) -> int | None:
        """The column of its matrix that is predicted."""
        return self.target if self.features or self.matrix is None else self.matrix.target

    @property
    def preparing(self) -> float | None:
        """How far making its matrix is, 0 to 1, while it waits for that; None where it does not."""
        waits = self.state == JobState.PENDING.value and self.matrix and self.matrix.state == Matrix.State.MAKING
        return self.matrix.progress if waits and self.matrix else None

    @property
    def data(self) -> Matrix | Dataset:
        """What is fitted: its recipe's matrix, or the dataset's own. Both have rows, columns and `matrix_…`."""
        return self.matrix or self.dataset


class Assignment(models.Model):
    """One attempt of a job by one worker, under a lease. `fence` makes a dead attempt's messages void."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    job = models.ForeignKey(Job, models.PROTECT, related_name="assignments", db_index=False)
    worker = models.ForeignKey(Worker, models.PROTECT, related_name="assignments", db_index=False)
    fence = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=12, choices=choices(AssignmentState), default=AssignmentState.DISPATCHED.value)
    why = models.JSONField(default=dict, blank=True, help_text="Why this worker was chosen.")
    lease_expires_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True, help_text="When its message was last sent.")
    progress = models.FloatField(default=0.0)
    note = models.CharField(max_length=200, blank=True)
    fault = models.CharField(max_length=10, choices=choices(Fault), blank=True)
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=DatabaseNow())
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(
                fields=["lease_expires_at"],
                condition=Q(state__in=["dispatched", "started"]),
                name="assignment_open_leases",
            ),
            models.Index(fields=["worker", "-created_at"], name="assignment_by_worker"),
            # SQLite does not see that a list of parameters is the list of a condition; a NULL it does.
            models.Index(fields=["lease_expires_at"], condition=Q(ended_at=None), name="assignment_live"),
            models.Index(fields=["ended_at"], condition=Q(ended_at__isnull=False), name="assignment_by_end"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["job", "fence"], name="assignment_fence_once"),
            models.UniqueConstraint(
                fields=["job"], condition=Q(state__in=sorted(s.value for s in LIVE)), name="assignment_one_live_a_job"
            ),
            models.UniqueConstraint(
                fields=["worker"],
                condition=Q(state__in=["dispatched", "started"]),
                name="assignment_one_open_a_worker",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in AssignmentState]), name="assignment_state_known"
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)


class Result(models.Model):
    """What a worker wrote back for an assignment: an answer, whose arrays are in storage under `sha256`, or a claim.

    A claim says that the data themselves make the model fail; it is checked like an answer.
    """

    assignment = models.OneToOneField(Assignment, models.PROTECT, primary_key=True, related_name="result")
    sha256 = models.CharField(max_length=64, blank=True)
    size_bytes = models.BigIntegerField(default=0)
    claim = models.TextField(blank=True, help_text="The sentence that the worker blames the data with.")
    seconds = models.FloatField(default=0.0, help_text="What the worker says that computing took.")
    received_at = models.DateTimeField(db_default=DatabaseNow())
    checked = models.BooleanField(default=False)
    check_tries = models.PositiveSmallIntegerField(default=0)
    check_lease_expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["received_at"], condition=Q(checked=False), name="result_unchecked")]

    def __str__(self) -> str:
        return self.sha256[:12]


class Verdict(models.Model):
    """What checking a result found, with the evidence. Never changed."""

    assignment = models.OneToOneField(Assignment, models.PROTECT, related_name="verdict")
    outcome = models.CharField(max_length=12, choices=[(v, v) for v in ("accepted", "rejected", "inconclusive")])
    method = models.CharField(max_length=200)
    reason = models.TextField()
    fault = models.CharField(max_length=10, choices=choices(Fault), blank=True)
    measured = models.FloatField(null=True, blank=True)
    tolerance = models.FloatField(null=True, blank=True)
    bound = models.TextField(blank=True)
    error_chance = models.FloatField(default=0.0)
    detail = models.JSONField(default=dict, blank=True)
    seed = models.CharField(max_length=64, help_text="Hex; the verifier's randomness, drawn after the answer was in.")
    seconds = models.FloatField(help_text="What checking took.")
    created_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        indexes = [models.Index(fields=["-created_at"], condition=Q(outcome="rejected"), name="verdict_rejections")]

    def __str__(self) -> str:
        return f"{self.outcome} by {self.method}"
