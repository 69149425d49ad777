"""Datasets: taking in what clients bring, once for each content."""

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Sum
from django.db.utils import IntegrityError

from marketplace import storage
from marketplace.actions.locks import hold_matrix
from marketplace.actions.samples import make_sample
from marketplace.domain.errors import NotFound, Refused
from marketplace.models import Compiled, Dataset, DatasetOwner, Job, Matrix
from marketplace.tables import arrays, delimited, parquet
from marketplace.tables.matrix import Column
from workers.catalog.base import CatalogModel

READERS = {"csv": delimited.read, "npy": arrays.read, "npz": arrays.read_archive, "parquet": parquet.read}


@dataclass
class Brought:
    """Data that were read. Until `keep`, the dataset has no row and its files lie aside, gone if it is never kept."""

    dataset: Dataset
    files: list[tuple[IO[bytes], storage.Kind, str]] = field(default_factory=list)
    user: Any = None  # who brought the content, and may use the dataset from now on
    label: str = ""

    def insert(self, *, alone: bool = False) -> Dataset:
        """Give the dataset its row, unless it has one; `store` is still to come, last in the same transaction.

        Args:
            alone: whether nobody else who says so does anything with it until that transaction ends.

        Raises:
            Refused: more than the user's share of the disk.
        """
        if self.dataset._state.adding:
            require_share(self.dataset.uploaded_by, self.dataset.size_bytes + self.dataset.matrix_bytes)
            hold_matrix(self.dataset.matrix_sha256)
            self._insert()
        else:
            lock_kept([self.dataset], alone=alone)
        if self.user is not None:
            DatasetOwner.objects.get_or_create(dataset=self.dataset, user=self.user, defaults={"label": self.label})
        return self.dataset

    def _insert(self) -> None:
        try:
            with transaction.atomic():
                self.dataset.save(force_insert=True)
        except IntegrityError:
            found = Dataset.objects.select_for_update().get(pk=self.dataset.pk)
            if found.deleted_at is None:  # somebody brought the same at the same time
                self.dataset, self.files = found, []
            else:  # it was here once, and comes again
                self.dataset.save(force_update=True)

    def store(self) -> None:
        """Put the files in their place. That does not roll back."""
        for file, kind, name in self.files:
            storage.keep(file, kind, name)

    def keep(self) -> Dataset:
        with transaction.atomic():
            self.insert()
            self.store()
        return self.dataset


def require_room(*, user: Any, size_bytes: int) -> None:
    """Refuse an upload of `size_bytes` before it is sent.

    Raises:
        Refused: more than the user's share of the disk.
        NoRoom: the disk is full.
    """
    require_share(user, size_bytes)
    storage.require_free(size_bytes)


def require_share(user: Any, size_bytes: int) -> None:
    """Outside the sandbox everybody has a share of the disk: `storage_bytes_per_user`.

    Raises:
        Refused: with `size_bytes` more, `user` would have more than that.
    """
    if user is None:
        return
    brought = Dataset.objects.filter(owners__user=user).aggregate(sum=Sum(F("size_bytes") + F("matrix_bytes")))["sum"]
    made = _made_for(user).aggregate(sum=Sum("matrix_bytes"))["sum"]
    stored, share = (brought or 0) + (made or 0), settings.POLICY.storage_bytes_per_user
    if stored + size_bytes > share:
        raise Refused(
            f"Your data would take more than your {share:,} bytes of the network's disk, of which {stored:,} are "
            "taken; ask the operator for more, or to delete datasets."
        )


def _made_for(user: Any) -> QuerySet[Matrix]:
    """The matrices that a user's own jobs had made: what others had made of the same bytes is nothing to them."""
    jobs = Job.objects.filter(matrix=OuterRef("pk"), client__user=user)
    return Matrix.objects.filter(Exists(jobs), dataset__owners__user=user, state=Matrix.State.READY)


def require_share_for(user: Any, matrix: Matrix) -> None:
    """`require_share` of a matrix, which counts once for whoever asks for it.

    Raises:
        Refused: as it does.
    """
    if user is None or (matrix.pk and _made_for(user).filter(pk=matrix.pk).exists()):
        return
    require_share(user, matrix.matrix_bytes)


_any_dataset = Compiled(lambda name: Dataset.objects.filter(pk=name, deleted_at=None), str)
_held_datasets = Compiled(
    lambda names: (
        Dataset.objects.select_for_update().filter(pk__among=names, deleted_at=None).order_by("pk").values_list("pk")
    ),
    [str],
    shared=True,
)
_own_dataset = Compiled(
    lambda name, user: Dataset.objects.filter(Q(sample=True) | Q(owners__user=user), pk=name, deleted_at=None),
    str, int,
)  # fmt: skip


def find_dataset(*, sha256: str, user: Any) -> Dataset:
    """The dataset of that name, where `user` brought its content: to know a name is no right to the data.

    The network's own samples are everybody's.

    Raises:
        NotFound: there is none, or it is another's.
    """
    all_of_them = settings.SANDBOX or (user and user.is_staff)
    found = _any_dataset.first(sha256) if all_of_them else _own_dataset.first(sha256, user.pk if user else 0)
    if found is None:
        raise NotFound(f"There is no dataset {sha256[:64]}; upload it to /datasets first.")
    return found


def lock_kept(datasets: Iterable[Dataset], *, alone: bool = False) -> None:
    """None of these datasets is deleted before this transaction ends. The network's own samples never are.

    Many may keep one at once; of those who do so `alone`, one after the other.

    Raises:
        NotFound: one was.
    """
    wanted = {each.pk for each in datasets if not each.sample}
    if not wanted:
        return
    if alone:
        rows = Dataset.objects.select_for_update(no_key=True).filter(pk__in=wanted, deleted_at=None)
        found = list(rows.order_by("pk").values_list("pk"))
    else:
        found = _held_datasets(wanted)
    if gone := wanted - {pk for (pk,) in found}:
        raise NotFound(f"The dataset {min(gone)} was deleted; bring it again.")


def store_upload(*, stream: BinaryIO, filename: str, user: Any) -> Dataset:
    """Take in a ``.csv``, ``.parquet``, ``.npy`` or ``.npz`` file of at most `MAX_UPLOAD_BYTES`.

    Raises:
        Refused: another kind of file, one that is too large, one that its reader refuses, more than the user's share.
        NoRoom: the disk is full.
    """
    suffix = Path(filename).suffix.lower().lstrip(".")
    if suffix not in READERS:
        raise Refused("The file's name must end in .csv, .parquet, .npy or .npz.")
    with ExitStack() as files:
        file = files.enter_context(storage.temporary(reserved=True))
        size = 0
        while chunk := stream.read(storage.CHUNK_BYTES):
            size += len(chunk)
            if size > settings.MAX_UPLOAD_BYTES:
                raise Refused(f"The file is larger than {settings.MAX_UPLOAD_BYTES:,} bytes.")
            file.write(chunk)
        file.flush()
        if not size:
            raise Refused("The file is empty.")
        return read_file(files, file, suffix, size, label=Path(filename).name[:120], user=user).keep()


@contextmanager
def read_inline(*, data: object, input_data: str | None, user: Any) -> Iterator[Brought]:
    """Read data that came inside a request: rows, ``{"X": …, "y": …}``, or the base64 of an ``.npy`` file.

    Raises:
        Refused: both or neither, or what cannot be a table of numbers.
        NoRoom: the disk is full.
    """
    if (data is None) == (input_data is None):
        raise Refused("Bring data or input_data, not both.")
    with ExitStack() as files:
        file = files.enter_context(storage.temporary(reserved=True))
        if input_data is not None:
            try:
                file.write(base64.b64decode(input_data, validate=True))
            except (binascii.Error, ValueError):
                raise Refused("input_data is not valid base64.") from None
            suffix = "npy"
        else:
            X, y = _parse_rows(data)
            arrays.save_archive(file, {"X": X} if y is None else {"X": X, "y": y})
            suffix = "npz"
        file.flush()
        yield read_file(files, file, suffix, file.tell(), label="inline", user=user)


@contextmanager
def sample_for(*, model: CatalogModel) -> Iterator[Brought]:
    """The network's own sample for a model, made the first time that a request brings no data."""
    with ExitStack() as files:
        file = files.enter_context(storage.temporary())
        arrays.save_archive(file, make_sample(model))
        file.flush()
        label = f"sample for {model.name}"
        yield read_file(files, file, "npz", file.tell(), label=label, user=None, sample=True)


def _parse_rows(data: object) -> tuple[np.ndarray, np.ndarray | None]:
    given = data if isinstance(data, dict) else {"X": data}
    if not {"X"} <= set(given) <= {"X", "y"}:
        raise Refused('data must be rows of numbers, or an object with "X" and perhaps "y".')
    X, y = _numbers(given["X"], "data"), given.get("y")
    if X.ndim not in (1, 2):
        raise Refused(f"data must be rows of numbers; it has {X.ndim} dimensions.")
    return X, None if y is None else _numbers(y, "y").ravel()


def _numbers(rows: object, name: str) -> np.ndarray:
    """A list of numbers, or of equally long lists of numbers, as float64."""
    if not isinstance(rows, list) or not rows:
        raise Refused(f"{name} must be a list of rows that is not empty.")
    for i, row in enumerate(rows):
        for cell in row if isinstance(row, list) else (row,):
            if isinstance(cell, bool) or not isinstance(cell, (int, float)):
                raise Refused(f"Row {i + 1} of {name} holds {json.dumps(cell)[:40]}, which is not a number.")
    if len({len(row) if isinstance(row, list) else -1 for row in rows}) != 1:
        raise Refused(f"The rows of {name} must be equally long.")
    try:
        return np.array(rows, dtype=np.float64)
    except OverflowError:
        raise Refused(f"{name} holds a number too large to compute with.") from None


def read_file(
    files: ExitStack,
    file: IO[bytes],
    suffix: str,
    size: int,
    *,
    label: str,
    user: Any,
    sample: bool = False,
    name: str = "",
    told: Callable[[int], None] | None = None,
) -> Brought:
    """Make the matrix of `file`, into another temporary file that lives as long as `files`.

    Args:
        name: the file's SHA-256, where that is known.
        told: hears, while the matrix is written, how many bytes it has.

    Raises:
        Refused: what its reader refuses.
    """
    name = name or storage.sha256(file)
    if found := Dataset.objects.filter(pk=name, deleted_at=None).first():
        return Brought(found, user=user, label=label)
    matrix = files.enter_context(storage.temporary(reserved=not sample))
    into: Any = matrix if told is None else storage.Told(matrix, told)
    columns, writer = READERS[suffix](Path(file.name), into, settings.MAX_MATRIX_CELLS)
    matrix_sha256, matrix_bytes = storage.sha256(matrix), matrix.seek(0, 2)
    dataset = Dataset(
        sha256=name,
        label=label,
        format=suffix,
        size_bytes=size,
        rows=writer.statistics.rows,
        columns=[column.as_json() for column in columns],
        default_target="y" if columns[-1].name == "y" and suffix == "npz" else "",
        dtype=_common_dtype(columns),
        matrix_sha256=matrix_sha256,
        matrix_bytes=matrix_bytes,
        matrix_columns=writer.columns,
        sample=sample,
        uploaded_by=user,
    )
    return Brought(dataset, [(matrix, "matrices", matrix_sha256), (file, "uploads", name)], user, label)


def _common_dtype(columns: list[Column]) -> str:
    found = {column.dtype for column in columns}
    return found.pop() if len(found) == 1 else "float64" if "text" not in found else "mixed"
