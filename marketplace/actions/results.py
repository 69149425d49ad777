"""Reading an accepted result, as the trusted side stored it."""

import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from marketplace import storage
from marketplace.actions.matrices import layout_of
from marketplace.domain.errors import NotFound
from marketplace.domain.lifecycle import JobState
from marketplace.models import Job
from marketplace.tables.arrays import read_header
from workers.catalog import MODELS

LOCAL_HEADER_BYTES = 30  # of a zip's member, before its name; the lengths of name and extra field are its last four


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
    """The result's fields, ready for JSON, with who computed it; NaN is null there.

    An array of more than `limit` numbers is left out and named in `omitted`; its header alone is read.

    Raises:
        NotFound: there is no result (yet).
    """
    found: dict[str, Any] = {"model": MODELS[job.model_type].result_name, **job.scalars}
    layout = layout_of(job)
    found["features"] = [name for name, _, _ in layout.features]
    if layout.classes is not None:
        found["class_names"] = layout.classes
    omitted = []
    with _archive(job) as archive:
        for name in archive.files:
            if limit is not None and _size(archive, name) > limit:
                omitted.append(name)
            else:
                found[name] = _for_json(archive[name])
    found["worker_id"] = job.worker.name if job.worker else None
    found["gpu_type"] = job.worker.gpu_type if job.worker else None
    if omitted:
        found["omitted"] = omitted
    return found


def _for_json(array: NDArray[Any]) -> Any:
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return array.tolist()
    values = array.astype(object)
    values[~np.isfinite(array)] = None
    return values.tolist()


def map_arrays(*, job: Job) -> dict[str, NDArray[Any]]:
    """The result's arrays, mapped into memory and not read: a picture looks at a few rows of what may be gigabytes.

    Raises:
        NotFound: there is no result (yet).
    """
    path = open_npz(job=job)
    found: dict[str, NDArray[Any]] = {}
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        for info in archive.infolist():
            file.seek(info.header_offset + LOCAL_HEADER_BYTES - 4)
            name, extra = struct.unpack("<HH", file.read(4))
            file.seek(name + extra, 1)
            header = read_header(file, file.tell() + info.file_size)
            order: Literal["F", "C"] = "F" if header.fortran_order else "C"
            key = info.filename.removesuffix(".npy")
            if 0 in header.shape:
                found[key] = np.zeros(header.shape, header.dtype)
            else:
                found[key] = np.memmap(path, header.dtype, "r", header.offset, header.shape or (1,), order)
    return found


def _size(archive: np.lib.npyio.NpzFile, name: str) -> int:
    """How many numbers an array has, from the size of its file."""
    if archive.zip is None:
        raise ValueError("the archive is closed")
    return archive.zip.getinfo(f"{name}.npy").file_size // 8
