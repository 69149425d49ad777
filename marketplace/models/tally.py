"""What the network was like at moments of the last two days, so that its figures cost no count of all its rows."""

from django.db import models


class Tally(models.Model):
    """All jobs up to `counted_to`, and workers and escrow as they were when it was written.

    What has happened since is few enough to count. The cycle writes one every few minutes and drops the oldest.
    """

    counted_to = models.DateTimeField(unique=True)
    jobs = models.PositiveBigIntegerField(help_text="Submitted before `counted_to`.")
    verified = models.PositiveBigIntegerField(help_text="Ended so before `counted_to`, as the next two.")
    failed = models.PositiveBigIntegerField()
    cancelled = models.PositiveBigIntegerField()
    verified_seconds = models.FloatField(help_text="From submission to end, of the verified jobs together.")
    workers = models.PositiveIntegerField()
    active_workers = models.PositiveIntegerField()
    held = models.BigIntegerField(help_text="Micro-tokens in escrow.")

    class Meta:
        verbose_name_plural = "tallies"
        ordering = ["-counted_to"]

    def __str__(self) -> str:
        return f"up to {self.counted_to:%Y-%m-%d %H:%M:%S}"
