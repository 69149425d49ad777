"""Matrices: what a job's recipe makes of a dataset, once for all jobs that ask for the same."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.db import transaction
from django.db.utils import IntegrityError

from marketplace import dispatch, storage
from marketplace.actions.datasets import Brought, require_share_for
from marketplace.actions.locks import hold_matrix
from marketplace.domain.errors import Refused
from marketplace.domain.recipes import Options, Recipe, gap_refused
from marketplace.models import Dataset, Job, Matrix, database_now
from marketplace.tables import recipes
from marketplace.tables.matrix import MatrixWriter
from marketplace.tables.recipes import Layout
from marketplace.tables.rows import Stored
from marketplace.tables.survey import Survey
from workers.catalog.base import CatalogModel

Columns = Sequence[Mapping[str, Any]]
State = Matrix.State


@dataclass
class Prepared:
    """A recipe, and the matrix that it makes. Until `insert`, a new matrix has no row; until `store`, no file.

    Of one that is made `later`, by a task, only the recipe is known.
    """

    brought: Brought
    recipe: Recipe
    matrix: Matrix
    user: Any = None  # whose share of the disk it takes
    layout: Layout | None = None  # what a reading found just now, from which the file is still to be written
    later: bool = False
    files: list[IO[bytes]] = field(default_factory=list)

    @property
    def features(self) -> int | None:
        """How many columns are fitted on; None where only making the matrix tells."""
        if not self.later:
            return self.matrix.features
        return None if self.recipe.categories else len(self.recipe.columns)

    def write(self, files: ExitStack) -> None:
        """Make the matrix, into a temporary file that lives as long as `files`, where that is to be done now.

        Raises:
            Refused: more than the user's share of the disk.
            NoRoom: the disk is full.
        """
        if self.later:
            return
        require_share_for(self.user, self.matrix)
        if self.layout is not None:
            file = files.enter_context(storage.temporary(reserved=True))
            write(self.matrix, self.layout, table_of(self.brought), file)
            self.files = [file]

    def insert(self, dataset: Dataset) -> Matrix:
        """Give the matrix its row, unless it has one; `store` is still to come, last in the same transaction.

        One that is made later is locked, and as it is once it is: another's job may have had it made meanwhile.
        """
        if self.files:
            hold_matrix(self.matrix.matrix_sha256)
        if self.matrix._state.adding:
            self.matrix.dataset, self.matrix.state = dataset, State.MAKING if self.later else State.READY
            try:
                with transaction.atomic():
                    self.matrix.save(force_insert=True)
            except IntegrityError:  # somebody asked for the same at the same time
                self.matrix = Matrix.objects.get(dataset=dataset, recipe_sha256=self.matrix.recipe_sha256)
        elif self.files:
            self.matrix.state = State.READY
            self.matrix.save()
        if self.later:
            self.matrix = Matrix.objects.select_for_update(no_key=True).get(pk=self.matrix.pk)
            if not is_there(self.matrix):
                ask_for(self.matrix)
        return self.matrix

    def store(self) -> None:
        """Put the file in its place. That does not roll back."""
        for file in self.files:
            storage.keep(file, "matrices", self.matrix.matrix_sha256)


def table_of(brought: Brought) -> Stored:
    """The table of a dataset that is kept, or of one that lies aside."""
    aside = {str(kind): Path(file.name) for file, kind, _ in brought.files}
    return _table(brought.dataset, aside)


def stored_table(dataset: Dataset) -> Stored:
    """The table of a dataset that is kept."""
    return _table(dataset, {})


def _table(dataset: Dataset, aside: Mapping[str, Path]) -> Stored:
    upload = aside.get("uploads", storage.path("uploads", dataset.sha256))
    matrix = aside.get("matrices", storage.path("matrices", dataset.matrix_sha256))
    places = {each["name"]: each["matrix_column"] for each in dataset.columns if each["matrix_column"] is not None}
    return Stored(upload, matrix, dataset.format, places)


def prepare(
    *,
    brought: Brought,
    model: CatalogModel,
    features: Columns,
    target: Mapping[str, Any] | None,
    given: Options,
    user: Any,
) -> Prepared:
    """What the recipe makes of the table of `brought`; `features` and `target` are columns of the dataset.

    A matrix that is there is used. Else a table of at most `MATRIX_AT_ONCE_CELLS` is read now, and its matrix, where
    that has no more either, can be written now; a larger one is left to a task, and held against what the dataset has.

    Raises:
        Refused: with one sentence that says what to change.
    """
    recipe = _recipe(model, features, target, given)
    known = None
    if not brought.dataset._state.adding:
        known = Matrix.objects.filter(dataset=brought.dataset, recipe_sha256=recipe.sha256).first()
    if known is not None and is_there(known):
        return Prepared(brought, recipe, known, user)
    used = [*features, *([target] if target else [])]
    texts = frozenset(each["name"] for each in used if each["matrix_column"] is None)
    matrix = known or Matrix(recipe=recipe.document, recipe_sha256=recipe.sha256, layout=unread(recipe, texts))
    dataset, most = brought.dataset, settings.MATRIX_AT_ONCE_CELLS
    if dataset.rows * len(dataset.columns) <= most:
        layout = survey(matrix, recipe, texts, table_of(brought))
        if matrix.rows * matrix.matrix_columns <= most:
            return Prepared(brought, recipe, matrix, user, layout)
    _require_known(recipe, used, dataset.rows)
    return Prepared(brought, recipe, matrix, user, later=True)


def is_there(matrix: Matrix) -> bool:
    return matrix.state == State.READY and storage.path("matrices", matrix.matrix_sha256).is_file()


def unread(recipe: Recipe, texts: frozenset[str]) -> dict[str, Any]:
    """The layout of a matrix whose table was not read yet."""
    return Layout(recipe, texts, {}, {}).as_json()


def survey(matrix: Matrix, recipe: Recipe, texts: frozenset[str], table: Stored) -> Layout:
    """Read the table through; the matrix's layout and shape, which are not saved, are what was found.

    Raises:
        Refused: what the recipe finds cannot be a matrix.
    """
    found = Survey(recipe, texts)
    layout = found.read(table)
    width = recipes.require_width(layout, settings.MAX_MATRIX_CELLS, found.rows) + (recipe.target is not None)
    _require_names(layout)
    matrix.layout, matrix.rows, matrix.held_out, matrix.dropped = (
        layout.as_json(), found.rows, found.held_out, found.dropped,
    )  # fmt: skip
    matrix.matrix_bytes, matrix.matrix_columns = MatrixWriter.size_bytes(found.rows, width), width
    matrix.target = None if recipe.target is None else width - 1
    return layout


def _require_names(layout: Layout) -> None:
    """Results name features, so that no two may share a name, nor one the target's.

    Raises:
        Refused: with the name, and the columns that it would be of.
    """
    target = layout.recipe.target
    found = {} if target is None else {target: target}
    for name, column, _ in layout.features:
        if name in found:
            others = {found[name][:80], column[:80]}
            of = " and ".join(f'"{each}"' for each in sorted(others))
            raise Refused(
                f'Two columns of the matrix, made of {of}, would be named "{name[:80]}": rename a column or a value, '
                'or leave one out with "columns".'
            )
        found[name] = column


def write(
    matrix: Matrix, layout: Layout, table: Stored, file: IO[bytes], told: Callable[[int], None] = lambda done: None
) -> None:
    """Write the matrix into `file`; its columns and digest, which are not saved, are what came of it.

    `told` hears, while the digest is made, how many bytes of it were read.
    """
    writer = MatrixWriter(file, layout.names, settings.MAX_MATRIX_CELLS)
    matrix.columns = recipes.write(layout, table, writer)
    matrix.matrix_sha256 = storage.sha256(file, told)


def ask_for(matrix: Matrix) -> None:
    """Have a locked matrix made that is not there: by the task that is at it, or by one that begins anew."""
    if matrix.state != State.MAKING:
        matrix.state = State.MAKING
        anew = {"progress": 0.0, "tries": 0, "lease_expires_at": None, "changed_at": database_now()}
        Matrix.objects.filter(pk=matrix.pk).update(state=State.MAKING, **anew)
    dispatch.make_matrix(matrix.pk)


def _require_known(recipe: Recipe, used: Columns, rows: int) -> None:
    """Refuse what the dataset's own columns say that the recipe cannot make of them.

    Raises:
        Refused: a gap, where the recipe refuses them; a column without any value.
    """
    gaps = [each for each in used if each["missing"]]
    if recipe.missing == "refuse" and gaps:
        first = min(gaps, key=lambda each: each["first_missing"])
        raise gap_refused(first["first_missing"], first["name"])
    for each in gaps:
        if each["missing"] == rows and each["matrix_column"] is not None:
            raise Refused(f'Column "{each["name"][:80]}" has no value at all: leave it out.')


def _recipe(model: CatalogModel, features: Columns, target: Mapping[str, Any] | None, given: Options) -> Recipe:
    names = [each["name"] for each in features]
    strange = [name for name in given.categories if name not in names]
    if strange:
        raise Refused(f'recipe.categories names "{strange[0][:80]}", which is none of the columns that are used.')
    if target is not None and target["matrix_column"] is None and not model.classifies:
        raise Refused(f'Column "{target["name"][:80]}" is text and cannot be the target of a {model.title.lower()}.')
    categories = {each["name"] for each in features if each["matrix_column"] is None} | set(given.categories)
    return Recipe(
        columns=tuple(names),
        target=target["name"] if target is not None else None,
        categories=tuple(name for name in names if name in categories),
        missing=given.missing,
        standardise=given.standardise,
        # A regression has an intercept, beside which all levels of a category say one thing twice.
        first_level=given.first_level or ("drop" if model.needs_target else "keep"),
        holdout=given.holdout,
        seed=given.seed,
    )


def is_forgotten(job: Job) -> bool:
    """Whether the job's data were deleted, and with them what its recipe found; they may have come back since."""
    if job.dataset.deleted_at is not None:
        return True
    # What is forgotten has names without a meaning, and no longer its recipe's digest.
    return job.matrix is not None and Recipe.read(job.matrix.recipe).sha256 != job.matrix.recipe_sha256


def layout_of(job: Job) -> Layout:
    """How the job's matrix came out of its dataset; of a job without a recipe, its columns as they are."""
    if job.matrix is not None:
        return Layout.read(job.matrix.recipe, job.matrix.layout)
    names = {each["matrix_column"]: each["name"] for each in job.dataset.columns}
    columns = tuple(names.get(place, f"column {place}") for place in job.features)
    recipe = Recipe(columns, None if job.target is None else names.get(job.target, f"column {job.target}"))
    return Layout(recipe, frozenset(), {name: recipes.Number(None) for name in columns}, {})
