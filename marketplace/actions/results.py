"""Reading an accepted result, as the trusted side stored it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from marketplace import storage
from marketplace.domain.errors import NotFound
from marketplace.domain.lifecycle import JobState
from marketplace.models import Job
from workers.catalog import MODELS


def open_npz(*, job: Job) -> Path:
    """The archive of a verified job's arrays.

    Raises:
        NotFound: there is no result (yet).
    """
    path = storage.path("answers", str(job.pk))
    if job.state != JobState.VERIFIED.value or not path.is_file():
        raise NotFound(f"There is no result: the job is {job.state}.")
    return path


@contextmanager
def _archive(job: Job) -> Iterator[np.lib.npyio.NpzFile]:
    with np.load(open_npz(job=job), allow_pickle=False) as archive:
        yield archive


def read_result(*, job: Job, limit: int | None) -> dict[str, Any]:
    """The result's fields, ready for JSON, with who computed it.

    An array of more than `limit` numbers is left out and named in `omitted`; its header alone is read.

    Raises:
        NotFound: there is no result (yet).
    """
    found: dict[str, Any] = {"model": MODELS[job.model_type].result_name, **job.scalars}
    omitted = []
    with _archive(job) as archive:
        for name in archive.files:
            if limit is not None and _size(archive, name) > limit:
                omitted.append(name)
            else:
                found[name] = archive[name].tolist()
    found["worker_id"] = job.worker.name if job.worker else None
    found["gpu_type"] = job.worker.gpu_type if job.worker else None
    if omitted:
        found["omitted"] = omitted
    return found


def _size(archive: np.lib.npyio.NpzFile, name: str) -> int:
    """How many numbers an array has, from the size of its file."""
    if archive.zip is None:
        raise ValueError("the archive is closed")
    return archive.zip.getinfo(f"{name}.npy").file_size // 8
