"""Deleting data: files and names go, and what machines were given is called back; rows of jobs and money stay."""

import logging
import secrets
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef

from marketplace import storage
from marketplace.actions import copies
from marketplace.actions.datasets import find_dataset
from marketplace.actions.events import record
from marketplace.actions.locks import hold_matrix
from marketplace.domain.errors import Conflict, NotFound, Refused
from marketplace.models import Contest, Dataset, DatasetOwner, Job, Matrix, Reverification, database_now

logger = logging.getLogger(__name__)

SWEEP = 100  # datasets that one sweep looks at
KEPT = ("dtype", "matrix_column", "missing", "first_missing")  # of a column, once its dataset is gone


def delete_dataset(*, sha256: str, user: Any, actor: str) -> bool:
    """Delete the dataset of that name for `user`; answers whether its files went too.

    Who brought the content loses the right to it. Where others brought the same, it stays theirs; an operator, and
    whoever is at a sandbox, deletes it for all.

    Raises:
        NotFound: there is none, or it is another's.
        Refused: it is a sample of the network's own.
        Conflict: a job, a contest or a check needs it.
    """
    found = find_dataset(sha256=sha256, user=user)
    if found.sample:
        raise Refused("This is the network's own sample, which holds nobody's data.")
    with transaction.atomic():
        dataset = lock_data(found.pk)
        rights = DatasetOwner.objects.filter(dataset=dataset)
        if own := rights.filter(user=user) if user is not None else None:
            if Job.objects.filter(dataset=dataset, client__user=user, ended_at=None).exists():
                raise Conflict("An open job uses this dataset; wait until it has ended, or cancel it.")
            own.delete()
            if rights.exists():
                return False
        rights.delete()
        purge(dataset, actor=actor)
    return True


def lock_data(sha256: str) -> Dataset:
    """
    Raises:
        NotFound: it is gone.
    """
    dataset = Dataset.objects.select_for_update().filter(pk=sha256, deleted_at=None).first()
    if dataset is None:
        raise NotFound("This dataset was deleted meanwhile.")
    return dataset


def purge(dataset: Dataset, *, actor: str, reason: str = "") -> None:
    """Delete a locked dataset's files and names, and call back the copies; last in its transaction.

    Raises:
        Conflict: a job, a contest or a check needs it.
    """
    require_unneeded(dataset)
    made = list(Matrix.objects.filter(dataset=dataset))
    files = sorted({dataset.matrix_sha256, *(matrix.matrix_sha256 for matrix in made if matrix.matrix_sha256)})
    for sha256 in files:
        hold_matrix(sha256)
    Dataset.objects.filter(pk=dataset.pk).update(
        deleted_at=database_now(), label="", columns=_nameless(dataset.columns), default_target="", uploaded_by=None
    )
    for matrix in made:
        _forget(matrix)
    record("dataset.deleted", actor=actor, reason=reason)
    storage.delete("uploads", dataset.pk)
    for sha256 in files:
        own = Dataset.objects.filter(matrix_sha256=sha256, deleted_at=None)
        if not (own.exists() or Matrix.objects.filter(matrix_sha256=sha256, dataset__deleted_at=None).exists()):
            copies.call_back(matrix_sha256=sha256)
            storage.delete("matrices", sha256)


def _nameless(columns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Columns without their names, and without what was measured of them."""
    return [
        {"name": f"column {i + 1}"} | {key: column[key] for key in KEPT if key in column}
        for i, column in enumerate(columns)
    ]


def _forget(matrix: Matrix) -> None:
    """A matrix that no job names goes; another keeps its shape, and neither names, levels nor figures of the data."""
    if not Job.objects.filter(matrix=matrix).exists():
        matrix.delete()
        return
    recipe, layout = matrix.recipe, matrix.layout
    used = [*recipe["columns"], *([recipe["target"]] if recipe["target"] is not None else [])]
    names = {name: f"column {i + 1}" for i, name in enumerate(used)}
    Matrix.objects.filter(pk=matrix.pk).update(
        recipe=recipe
        | {each: [names[name] for name in recipe[each]] for each in ("columns", "categories")}
        | {"target": names.get(recipe["target"])},
        recipe_sha256=secrets.token_hex(32),  # nobody finds it by what it was made of
        layout={
            "texts": [names[name] for name in layout["texts"]],
            "numbers": {names[name]: [None, 0.0, 1.0] for name in layout["numbers"]},
            "levels": {
                names[name]: [f"level {i + 1}" for i in range(len(levels))] for name, levels in layout["levels"].items()
            },
        },
        columns=_nameless(matrix.columns),
    )


def require_unneeded(dataset: Dataset) -> None:
    """
    Raises:
        Conflict: an open job, an open contest or a check that waits needs the data.
    """
    if Job.objects.filter(dataset=dataset, ended_at=None).exists():
        raise Conflict("An open job uses this dataset; wait until it has ended, or cancel it.")
    contested = Contest.objects.filter(verdict__assignment__job__dataset=dataset, outcome=Contest.Outcome.OPEN)
    if contested.exists():
        raise Conflict("A contest over an answer to a job on this dataset is open; it keeps the data until settled.")
    if Reverification.objects.filter(assignment__job__dataset=dataset, checked_at=None).exists():
        raise Conflict("An answer to a job on this dataset is about to be checked again; try later.")


def delete_idle() -> int:
    """Delete what no job used, and nobody brought, for the policy's time. Answers how many datasets went."""
    idle_seconds = settings.POLICY.dataset_idle_seconds
    if idle_seconds <= 0:
        return 0
    since = database_now() - timedelta(seconds=idle_seconds)
    jobs = Job.objects.filter(dataset=OuterRef("pk"))
    idle = Dataset.objects.filter(
        ~Exists(jobs.filter(ended_at=None)),
        ~Exists(jobs.filter(ended_at__gte=since)),
        ~Exists(DatasetOwner.objects.filter(dataset=OuterRef("pk"), created_at__gte=since)),
        created_at__lt=since,
        sample=False,
        deleted_at=None,
    )
    return sum(_delete_idle(pk) for pk in idle.order_by("created_at").values_list("pk", flat=True)[:SWEEP])


def _delete_idle(sha256: str) -> bool:
    try:
        with transaction.atomic():
            dataset = lock_data(sha256)
            DatasetOwner.objects.filter(dataset=dataset).delete()
            purge(dataset, actor="coordinator", reason="no job used it for long")
    except Refused as refusal:
        logger.info("A dataset is idle and stays: %s", refusal)
        return False
    return True
