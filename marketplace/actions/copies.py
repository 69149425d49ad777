"""Copies of matrices on contributors' machines: who got one, and having it dropped.

One is to be dropped once its dataset is gone, or once its machine may not receive it any more.
"""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Coalesce

from marketplace.models import Assignment, Audience, Dataset, DatasetOwner, Job, MatrixCopy, Worker

NAMED = 100  # in one heartbeat's reply; the next names the rest


def note(*, machine: Worker, matrix_sha256: str) -> None:
    """Remember that `machine` is given the matrix."""
    MatrixCopy.objects.bulk_create(
        [MatrixCopy(machine=machine, matrix_sha256=matrix_sha256, to_drop=False)],
        update_conflicts=True,
        unique_fields=["machine", "matrix_sha256"],
        update_fields=["to_drop"],
    )


def call_back(*, matrix_sha256: str) -> int:
    """Have every machine's copy dropped, at its next heartbeat. Answers how many there are."""
    return MatrixCopy.objects.filter(matrix_sha256=matrix_sha256).update(to_drop=True)


def call_back_of_others(*, files: Collection[str]) -> int:
    """Have these matrices dropped by machines that nobody who brought the data names now. Answers how many copies."""
    held = MatrixCopy.objects.filter(matrix_sha256__in=files, to_drop=False)
    called = 0
    for sha256 in held.values_list("matrix_sha256", flat=True).distinct():
        of_it = Q(dataset__matrix_sha256=sha256) | Q(dataset__matrices__matrix_sha256=sha256)
        named = set(DatasetOwner.objects.filter(of_it).values_list("audience", flat=True))
        if None in named:
            continue
        workers = Worker.objects.filter(Q(pools__audiences__in=named) | Q(contributor__audiences__in=named))
        machines = workers.annotate(of_machine=Coalesce("host", "pk")).values("of_machine")
        called += held.filter(matrix_sha256=sha256).exclude(machine__in=machines).update(to_drop=True)
    return called


def call_back_outside(*, machine: UUID) -> int:
    """Have a machine's copies dropped that it may not receive any more. Answers how many there are.

    A machine may have what a job lets one of its workers receive, unless all who brought the data name others now.
    """
    workers = Worker.objects.filter(Q(pk=machine) | Q(host=machine))
    within = Audience.objects.filter(Q(pools__workers__in=workers) | Q(contributors__workers__in=workers))
    mine = list(within.distinct().values_list("pk", flat=True))
    asked = Q(resource_class__audience=None) | Q(resource_class__audience__in=mine)
    allowed = Q(audience=None) | Q(audience__in=mine)
    held = MatrixCopy.objects.filter(machine=machine, to_drop=False)
    lets = _reads(Job.objects.filter(asked)) & (_made_of(DatasetOwner.objects.filter(allowed)) | _nobodys())
    return held.filter(~lets).update(to_drop=True)


def _reads(jobs: Any, to_job: str = "") -> Q:
    """Is the copy's matrix what one of these jobs (or rows with a job) is fitted on?"""
    sha256 = OuterRef("matrix_sha256")
    as_brought = {f"{to_job}matrix": None, f"{to_job}dataset__matrix_sha256": sha256}
    return Q(Exists(jobs.filter(**as_brought))) | Q(Exists(jobs.filter(**{f"{to_job}matrix__matrix_sha256": sha256})))


def _made_of(rights: Any) -> Q:
    """Is the copy's matrix made of the dataset of one of these rights?"""
    sha256 = OuterRef("matrix_sha256")
    brought = rights.filter(dataset__matrix_sha256=sha256)
    return Q(Exists(brought)) | Q(Exists(rights.filter(dataset__matrices__matrix_sha256=sha256)))


def _nobodys() -> Q:
    """Is it of a dataset that nobody has a right to: a sample, or what came without log-in?"""
    free, sha256 = Dataset.objects.filter(owners=None), OuterRef("matrix_sha256")
    return Q(Exists(free.filter(matrix_sha256=sha256))) | Q(Exists(free.filter(matrices__matrix_sha256=sha256)))


def to_drop(machine: Worker, dropped: Collection[str]) -> list[str]:
    """What the machine is asked to drop: until it says of each that it `dropped` it, heartbeat after heartbeat.

    What an assignment in its hands still reads is left to a later heartbeat.
    """
    if dropped:
        MatrixCopy.objects.filter(machine=machine, to_drop=True, matrix_sha256__in=dropped).delete()
    live = Assignment.objects.filter(Q(worker=machine) | Q(worker__host=machine), ended_at=None)
    waiting = MatrixCopy.objects.filter(~_reads(live, "job__"), machine=machine, to_drop=True).order_by("pk")
    return list(waiting.values_list("matrix_sha256", flat=True)[:NAMED])
