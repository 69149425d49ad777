"""Matrices: what a job's recipe makes of a dataset, once for all jobs that ask for the same."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.db import transaction
from django.db.utils import IntegrityError

from marketplace import storage
from marketplace.actions.datasets import Brought, require_share
from marketplace.actions.locks import hold_matrix
from marketplace.domain.errors import Refused
from marketplace.domain.recipes import Options, Recipe
from marketplace.models import Dataset, Job, Matrix
from marketplace.tables import recipes
from marketplace.tables.matrix import MatrixWriter
from marketplace.tables.recipes import Layout, Survey
from marketplace.tables.rows import Stored
from workers.catalog.base import CatalogModel

Columns = Sequence[Mapping[str, Any]]


@dataclass
class Prepared:
    """A recipe that was read through its table. Until `insert`, its matrix has no row; until `store`, no file."""

    brought: Brought
    layout: Layout
    matrix: Matrix
    user: Any = None  # whose share of the disk it takes
    files: list[IO[bytes]] = field(default_factory=list)

    @property
    def features(self) -> int:
        return len(self.layout.features)

    def write(self, files: ExitStack) -> None:
        """Make the matrix, into a temporary file that lives as long as `files`; nothing where it is there already.

        Raises:
            Refused: more than the user's share of the disk.
            NoRoom: the disk is full.
        """
        found = self.matrix
        if not found._state.adding and storage.path("matrices", found.matrix_sha256).is_file():
            return
        require_share(self.user, found.matrix_bytes)
        file = files.enter_context(storage.temporary(reserved=True))
        writer = MatrixWriter(file, found.matrix_columns, settings.MAX_MATRIX_CELLS)
        columns = recipes.write(self.layout, table_of(self.brought), writer)
        if found._state.adding:
            found.columns, found.matrix_sha256 = columns, storage.sha256(file)
        self.files = [file]

    def insert(self, dataset: Dataset) -> Matrix:
        """Give the matrix its row, unless it has one; `store` is still to come, last in the same transaction."""
        if self.files:
            hold_matrix(self.matrix.matrix_sha256)
        if self.matrix._state.adding:
            self.matrix.dataset = dataset
            try:
                with transaction.atomic():
                    self.matrix.save(force_insert=True)
            except IntegrityError:  # somebody asked for the same at the same time
                self.matrix = Matrix.objects.get(dataset=dataset, recipe_sha256=self.matrix.recipe_sha256)
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
    """Read a recipe through the table of `brought`; `features` and `target` are columns of the dataset.

    Raises:
        Refused: with one sentence that says what to change.
    """
    recipe = _recipe(model, features, target, given)
    known = None
    if not brought.dataset._state.adding:
        known = Matrix.objects.filter(dataset=brought.dataset, recipe_sha256=recipe.sha256).first()
    if known is not None:
        return Prepared(brought, Layout.read(known.recipe, known.layout), known, user)
    used = [*features, *([target] if target else [])]
    survey = Survey(recipe, frozenset(each["name"] for each in used if each["matrix_column"] is None))
    layout = survey.read(table_of(brought))
    width = recipes.require_width(layout, settings.MAX_MATRIX_CELLS, survey.rows) + (target is not None)
    matrix = Matrix(
        recipe=recipe.document,
        recipe_sha256=recipe.sha256,
        layout=layout.as_json(),
        rows=survey.rows,
        held_out=survey.held_out,
        dropped=survey.dropped,
        matrix_bytes=MatrixWriter.size_bytes(survey.rows, width),
        matrix_columns=width,
    )
    return Prepared(brought, layout, matrix, user)


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
