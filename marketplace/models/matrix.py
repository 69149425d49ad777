"""Matrices that recipes made of datasets."""

from django.db import models

from marketplace.models.clock import DatabaseNow
from marketplace.models.dataset import Dataset


class Matrix(models.Model):
    """What a recipe makes of a dataset: once for all jobs that ask for the same.

    `columns` is as `Dataset.columns`, in the matrix's order, with `mean` and `norm` in the table's own units. `layout`
    has what the recipe found (fills, shifts, scales, levels), so that new rows can be given the same columns.
    """

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="matrices")
    recipe = models.JSONField(help_text="Columns, target, and how gaps and categories become numbers.")
    recipe_sha256 = models.CharField(max_length=64)
    layout = models.JSONField()
    columns = models.JSONField()
    rows = models.PositiveBigIntegerField(help_text="Rows that are fitted on.")
    held_out = models.PositiveBigIntegerField(help_text="Rows that were kept out of the fit, for a score.")
    dropped = models.PositiveBigIntegerField(help_text="Rows left out for a gap.")
    matrix_sha256 = models.CharField(max_length=64, db_index=True)
    matrix_bytes = models.BigIntegerField()
    matrix_columns = models.PositiveIntegerField()
    created_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        verbose_name_plural = "matrices"
        constraints = [models.UniqueConstraint(fields=["dataset", "recipe_sha256"], name="matrix_once_a_recipe")]

    def __str__(self) -> str:
        return self.matrix_sha256[:12]
