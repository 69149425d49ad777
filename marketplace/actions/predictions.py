"""What a verified job's model says of the rows of its own table and of new ones, computed on the trusted side."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, BinaryIO

from django.conf import settings
from django.db import connection

from marketplace import csv_files, storage
from marketplace.actions.matrices import is_forgotten, layout_of, stored_table
from marketplace.actions.results import map_arrays
from marketplace.domain.errors import NotFound, Refused
from marketplace.models import Job
from marketplace.tables.arrays import BLOCK_CELLS
from marketplace.tables.rows import Block, brought, cells
from marketplace.verification.fitted import class_names, told

Row = Sequence[Any]
KINDS = ("csv", "parquet", "npy")


class Model:
    """A verified job's model, ready to say something of rows.

    Raises:
        NotFound: the job has no result, or its data were deleted, and with them their units.
    """

    def __init__(self, job: Job) -> None:
        if is_forgotten(job):
            raise NotFound("The job's data were deleted, and with them what its model was fitted by.")
        self.job, self.layout, self.arrays = job, layout_of(job), map_arrays(job=job)
        self.columns = self.layout.columns_read(target=False)

    @property
    def names(self) -> list[str]:
        """The columns that it says."""
        if "centroids" in self.arrays:
            return ["cluster"]
        if "components" in self.arrays:
            return [f"component_{i}" for i in range(len(self.arrays["components"]))]
        each = class_names(self.arrays, self.layout.classes) if "classes" in self.arrays else []
        return ["prediction", *(f"probability_{name}" for name in each)]

    @property
    def most_rows(self) -> int:
        """How many rows are told in one call, which nobody pays for: writing a number takes ten times its reading."""
        return max(1, settings.MAX_MATRIX_CELLS // (len(self.layout.features) + 10 * len(self.names)))

    def rows(self, blocks: Iterator[Block], *, strict: bool) -> Iterator[Row]:
        """A row of values for each row of the blocks; of one with a gap that nothing stands in for, nothing.

        Raises:
            Refused: where `strict`, a gap that the recipe refuses, or a level that the fit did not see.
        """
        features, done = len(self.layout.features), 0
        step = max(1, BLOCK_CELLS // (features + len(self.names)))
        for block in blocks:
            for part in block.parts(step):
                X, _, whole = self.layout.encode(part, target=False, strict=strict, first_row=done + 1)
                X[~whole] = 0.0
                found = told(self.layout, self.arrays, self.job.scalars, X)
                values = zip(*(found[name].tolist() for name in self.names), strict=True)
                yield from (row if kept else ("",) * len(self.names) for row, kept in zip(values, whole, strict=True))
                done += len(part)


def own_table(*, job: Job) -> tuple[list[str], Iterator[Row]]:
    """The header and the rows of the job's own table as it was brought, with what the model says of each behind it.

    A name that the table has already gets an underscore. Rows that were kept out of the fit are told like the others.

    Raises:
        NotFound: the job has no result, or its data are no longer kept.
    """
    model, table = Model(job), stored_table(job.dataset)
    if not (table.upload.is_file() and table.matrix.is_file()):
        raise NotFound("The data of this job are no longer kept.")
    names = job.dataset.column_names
    added = []
    for name in model.names:
        while name in names or name in added:
            name += "_"
        added.append(name)
    told_rows = model.rows(table.blocks(*model.columns), strict=False)
    rows = ([*own, *said] for own, said in zip(cells(table), told_rows, strict=True))
    return [*names, *added], rows


def _at_most(rows: int, blocks: Iterator[Block]) -> Iterator[Block]:
    done = 0
    for block in blocks:
        done += len(block)
        if done > rows:  # a few bytes of Parquet may say any number of rows
            raise Refused(f"The file has too many rows: of this model's columns {rows:,} are taken at a time.")
        yield block


def predict(*, job: Job, stream: BinaryIO, filename: str) -> IO[bytes]:
    """A CSV file of what the model says of each row of a file that was brought, with a header; open at its beginning.

    Nothing of either stays: the file is gone when it is closed.

    Raises:
        NotFound: the job has no result.
        Refused: another kind of file, other columns, or cells that the model cannot take; the first is named.
        NoRoom: the disk is full.
    """
    suffix = Path(filename).suffix.lower().lstrip(".")
    if suffix not in KINDS:
        raise Refused(f"The file's name must end in {', '.join(f'.{kind}' for kind in KINDS)}.")
    model = Model(job)
    recipe, known = model.layout.recipe, {*model.layout.recipe.columns, *job.dataset.column_names}
    if not connection.in_atomic_block:  # nothing more is asked of the database, and computing may take a minute
        connection.close()
    with ExitStack() as files:
        file = files.enter_context(storage.temporary(reserved=True))
        while chunk := stream.read(storage.CHUNK_BYTES):
            file.write(chunk)
        file.flush()
        out = files.enter_context(storage.temporary(reserved=True))
        blocks = _at_most(model.most_rows, brought(Path(file.name), suffix, *model.columns, recipe.columns, known))
        for lines in csv_files.lines(model.names, model.rows(blocks, strict=True)):
            out.write(lines)
        out.flush()
        return Path(out.name).open("rb")  # it stays readable when its name is gone
