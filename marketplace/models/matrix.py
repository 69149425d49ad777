"""Matrices that recipes made of datasets."""

from django.db import models
from django.db.models import Q

from marketplace.models.clock import DatabaseNow
from marketplace.models.dataset import Dataset


class Matrix(models.Model):
    """What a recipe makes of a dataset: once for all jobs that ask for the same.

    `columns` is as `Dataset.columns`, in the matrix's order, with `mean` and `norm` in the table's own units. `layout`
    has what the recipe found (fills, shifts, scales, levels), so that new rows can be given the same columns. Of a
    matrix that is being made both are still empty, and so is its shape; the jobs that asked for it wait.
    """

    class State(models.TextChoices):
        MAKING = "making"  # by a task; `progress` says how far it is
        READY = "ready"
        FAILED = "failed"  # it could not be made, and who waited for it failed; made anew when it is asked for again

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="matrices")
    recipe = models.JSONField(help_text="Columns, target, and how gaps and categories become numbers.")
    recipe_sha256 = models.CharField(max_length=64)
    layout = models.JSONField()
    columns = models.JSONField(default=list)
    rows = models.PositiveBigIntegerField(default=0, help_text="Rows that are fitted on.")
    held_out = models.PositiveBigIntegerField(default=0, help_text="Rows that were kept out of the fit, for a score.")
    dropped = models.PositiveBigIntegerField(default=0, help_text="Rows left out for a gap.")
    matrix_sha256 = models.CharField(max_length=64, blank=True, db_index=True)
    matrix_bytes = models.BigIntegerField(default=0)
    matrix_columns = models.PositiveIntegerField(default=0)
    target = models.PositiveIntegerField(null=True, blank=True, help_text="Column of the target, which is the last.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.READY, db_default=State.READY)
    progress = models.FloatField(default=0.0, db_default=0.0, help_text="Of the making, 0 to 1.")
    tries = models.PositiveSmallIntegerField(default=0, db_default=0)
    lease_expires_at = models.DateTimeField(null=True, blank=True, help_text="Until when its maker has it.")
    changed_at = models.DateTimeField(db_default=DatabaseNow())
    created_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        verbose_name_plural = "matrices"
        indexes = [models.Index(fields=["changed_at"], condition=Q(state="making"), name="matrix_to_make")]
        constraints = [models.UniqueConstraint(fields=["dataset", "recipe_sha256"], name="matrix_once_a_recipe")]

    def __str__(self) -> str:
        return self.matrix_sha256[:12] or self.state

    @property
    def features(self) -> int:
        """How many of its columns are fitted on: all but the target, which is the last."""
        return self.matrix_columns - (self.recipe["target"] is not None)
