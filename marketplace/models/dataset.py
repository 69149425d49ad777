"""Data that jobs are fitted on."""

from django.conf import settings
from django.db import models

from marketplace.models.clock import DatabaseNow


class Dataset(models.Model):
    """An immutable table or array, named by the SHA-256 of what was uploaded.

    `columns` lists ``{"name", "dtype", "matrix_column", "mean", "norm"}`` in the file's order: a text column has
    dtype "text" and no matrix column; `mean` is μ and `norm` the Euclidean norm of the centred column.
    """

    sha256 = models.CharField(primary_key=True, max_length=64)
    label = models.CharField(max_length=120, blank=True, help_text="The file's name when it came; a label only.")
    format = models.CharField(max_length=10)
    size_bytes = models.BigIntegerField()
    rows = models.PositiveBigIntegerField()
    columns = models.JSONField()
    default_target = models.CharField(max_length=200, blank=True, help_text="The column that was brought as y.")
    dtype = models.CharField(max_length=16)
    matrix_sha256 = models.CharField(max_length=64, db_index=True)
    matrix_bytes = models.BigIntegerField()
    matrix_columns = models.PositiveIntegerField()
    sample = models.BooleanField(default=False, help_text="Made by the network, where a request brought no data.")
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="datasets"
    )
    created_at = models.DateTimeField(db_default=DatabaseNow())
    deleted_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when its files and names are gone; its jobs' rows still name it."
    )

    def __str__(self) -> str:
        return self.label or self.sha256[:12]

    @property
    def column_names(self) -> list[str]:
        return [column["name"] for column in self.columns]
