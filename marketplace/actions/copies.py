"""Copies of matrices on contributors' machines: who got one, and having it dropped once its dataset is gone."""

from collections.abc import Collection

from marketplace.models import MatrixCopy, Worker

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


def to_drop(machine: Worker, dropped: Collection[str]) -> list[str]:
    """What the machine is asked to drop: until it says of each that it `dropped` it, heartbeat after heartbeat."""
    if dropped:
        MatrixCopy.objects.filter(machine=machine, to_drop=True, matrix_sha256__in=dropped).delete()
    waiting = MatrixCopy.objects.filter(machine=machine, to_drop=True).order_by("pk")
    return list(waiting.values_list("matrix_sha256", flat=True)[:NAMED])
