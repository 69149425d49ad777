"""Who may receive data: pools of workers, and sets of pools and contributors that datasets and jobs name."""

from django.db import models
from django.db.models import Exists, OuterRef, Q

from marketplace.models.clock import DatabaseNow
from marketplace.models.worker import Contributor, Worker


class Pool(models.Model):
    """Workers that an operator has put together, for clients to name as those that may receive their data."""

    name = models.CharField(max_length=64, unique=True)
    workers = models.ManyToManyField(Worker, related_name="pools", blank=True)
    created_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Audience(models.Model):
    """The pools and contributors that may receive some data. One row for each set of them; it never changes.

    A dataset or a job without an audience may go to any worker. An audience that nobody is in lets nobody have it.
    """

    key = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the ids, so that a set has one row.")
    pools = models.ManyToManyField(Pool, related_name="audiences")
    contributors = models.ManyToManyField(Contributor, related_name="audiences")

    def __str__(self) -> str:
        return f"audience {self.pk}"


def may_receive(*, worker: str, audience: str) -> Q:
    """Rows whose `worker` is in their `audience`, or that have none; both are paths from the row.

    A worker is in it by one of its pools, or by its contributor.
    """
    pooled = Audience.pools.through.objects.filter(audience=OuterRef(audience), pool__workers=OuterRef(worker))
    named = Audience.contributors.through.objects.filter(
        audience=OuterRef(audience), contributor__workers=OuterRef(worker)
    )
    return Q(**{f"{audience}__isnull": True}) | Q(Exists(pooled)) | Q(Exists(named))
