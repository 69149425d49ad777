"""Files that come in parts."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from marketplace.models.clock import DatabaseNow
from marketplace.models.dataset import Dataset


class Upload(models.Model):
    """A file on its way to become a dataset. Its parts lie in one file, each at its place, until they are all there."""

    class State(models.TextChoices):
        UPLOADING = "uploading"  # parts are still to come
        READING = "reading"  # all are there; the coordinator checks the hash and makes the matrix
        READY = "ready"  # it is a dataset
        REFUSED = "refused"  # it cannot be one; `reason` says why

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="uploads")
    label = models.CharField(max_length=120, help_text="The file's name; a label only.")
    format = models.CharField(max_length=10)
    sha256 = models.CharField(max_length=64, help_text="What its sender says that it is.")
    size_bytes = models.BigIntegerField()
    part_bytes = models.PositiveIntegerField(help_text="Of every part but the last.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.UPLOADING)
    progress = models.FloatField(default=0.0, help_text="Of the reading, 0 to 1.")
    reason = models.TextField(blank=True)
    dataset = models.ForeignKey(Dataset, models.SET_NULL, null=True, blank=True)
    tries = models.PositiveSmallIntegerField(default=0)
    lease_expires_at = models.DateTimeField(null=True, blank=True, help_text="Until when its reader has it.")
    created_at = models.DateTimeField(db_default=DatabaseNow())
    changed_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["changed_at"], name="upload_by_change"),
            models.Index(fields=["changed_at"], condition=Q(state="reading"), name="upload_to_read"),
        ]

    def __str__(self) -> str:
        return self.label

    @property
    def parts(self) -> int:
        return -(-self.size_bytes // self.part_bytes)

    def bytes_of(self, number: int) -> int:
        """How many bytes part `number`, counted from 0, has."""
        return min(self.part_bytes, self.size_bytes - number * self.part_bytes)


class UploadPart(models.Model):
    """A part that came whole."""

    upload = models.ForeignKey(Upload, models.CASCADE, related_name="received")
    number = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["upload", "number"], name="upload_part_once")]

    def __str__(self) -> str:
        return f"part {self.number} of {self.upload_id}"
