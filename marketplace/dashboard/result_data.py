"""What a result's page draws and lists: the mapped arrays of an accepted result, and a seeded sample of its rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marketplace import storage
from marketplace.actions.matrices import is_forgotten, layout_of
from marketplace.actions.results import map_arrays
from marketplace.dashboard.job import feature_names, target_name
from marketplace.domain.errors import NotFound
from marketplace.models import Job
from marketplace.tables.arrays import open_array
from marketplace.tables.recipes import Layout
from marketplace.verification.fitted import class_names as class_names_of

DRAWN = 400  # rows of the data in a picture
COUNTED = 100_000  # rows that are counted, not drawn
SEED = 0
BLOCK_ROWS = 2000
UNKNOWN_ERRORS = (
    "A standard error is unknown where the data do not determine the number: no more rows than columns, or a column "
    "that is a combination of others. The intercept's is unknown too where columns were fitted in standard deviations."
)


@dataclass(frozen=True)
class Fitted:
    """An accepted result beside the data that it is of."""

    job: Job
    arrays: dict[str, NDArray[Any]]
    features: list[str]
    target: str
    layout: Layout

    @classmethod
    def of(cls, job: Job) -> "Fitted":
        """
        Raises:
            NotFound: the job has no result, or its data were deleted, without which there is no picture.
        """
        if is_forgotten(job):
            raise NotFound("The job's data were deleted; its page still offers the result as NPZ and as JSON.")
        return cls(job, map_arrays(job=job), feature_names(job), target_name(job), layout_of(job))

    @cached_property
    def matrix(self) -> NDArray[np.float64]:
        return open_array(storage.path("matrices", self.job.data.matrix_sha256))

    @property
    def rows(self) -> int:
        return len(self.matrix)

    def sample(self, most: int = DRAWN) -> NDArray[np.int64]:
        """Rows, ascending: all, or `most` that a fixed seed chose, so that a picture is the same each time."""
        if self.rows <= most:
            return np.arange(self.rows)
        return np.sort(np.random.default_rng(SEED).choice(self.rows, most, replace=False, shuffle=False))

    @property
    def sampled(self) -> str:
        """What a picture says of the rows that it left out."""
        if self.rows <= DRAWN:
            return ""
        return f"{DRAWN:,} of {self.rows:,} rows are drawn, chosen at random with seed {SEED}."

    def data(self, rows: Any) -> NDArray[np.float64]:
        """X (rows × features), in the table's own units."""
        shift, scale = self.layout.scaling()
        return shift + scale * np.asarray(self.matrix[rows][:, self.job.fitted_columns], dtype=np.float64)

    def actual(self, rows: Any) -> NDArray[np.float64]:
        """y (rows,)."""
        return np.asarray(self.matrix[rows, self.job.fitted_target], dtype=np.float64)

    @property
    def class_names(self) -> list[str]:
        """The classes of a logistic regression, in its order."""
        return class_names_of(self.arrays, self.layout.classes)

    def take(self, name: str, rows: Any) -> NDArray[Any]:
        return np.asarray(self.arrays[name][rows])


def spreads(job: Job) -> NDArray[np.float64]:
    """Each feature's standard deviation (d,), from what was noted when the data came."""
    norms = {column["matrix_column"]: column["norm"] for column in job.data.columns}
    return np.array([norms.get(column, 0.0) for column in job.fitted_columns]) / max(job.data.rows, 1) ** 0.5


@dataclass(frozen=True)
class Listing:
    """A table of a result that is downloaded as CSV. Its rows come in blocks, out of mapped arrays."""

    name: str
    title: str
    header: Sequence[str]
    rows: Iterator[list[Any]]
    note: str = ""  # what a page says below it


def listings(fitted: Fitted) -> list[Listing]:
    """Every table that the result has; that with a line for each row of the data last."""
    made = [_coefficients(fitted), _centres(fitted), _components(fitted), _by_row(fitted)]
    return [each for each in made if each is not None]


def _by_row(fitted: Fitted) -> Listing | None:
    arrays, columns = fitted.arrays, list[tuple[str, str, int | None]]()  # (header, array, its column)
    if "labels" in arrays:
        columns.append(("cluster", "labels", None))
    if "predictions" in arrays:
        columns.append(("predicted", "predictions", None))
    names = fitted.class_names if "probabilities" in arrays else []
    if "probabilities" in arrays:
        columns += [(f"probability of {name}", "probabilities", i) for i, name in enumerate(names)]
    if "transformed_data" in arrays:
        columns += [(f"PC{i + 1}", "transformed_data", i) for i in range(arrays["transformed_data"].shape[1])]
    if not columns:
        return None
    supervised = "predictions" in arrays and fitted.job.fitted_target is not None
    named = fitted.layout.classes

    def rows() -> Iterator[list[Any]]:
        for start in range(0, fitted.rows, BLOCK_ROWS):
            part = slice(start, min(start + BLOCK_ROWS, fitted.rows))
            blocks = [arrays[a][part] if i is None else arrays[a][part, i] for _, a, i in columns]
            if supervised:
                blocks.insert(0, fitted.actual(part))
            if named is not None:  # the actual class and the predicted one
                blocks[:2] = [np.array(named, dtype=object)[block.astype(np.int64)] for block in blocks[:2]]
            yield from ([start + n + 1, *row] for n, row in enumerate(zip(*(b.tolist() for b in blocks), strict=True)))

    # Where a recipe left rows out, this is no place in the client's table.
    row = "row" if fitted.job.matrix is None else "fitted row"
    header = [row, *([f"actual {fitted.target}"] if supervised else []), *(name for name, _, _ in columns)]
    return Listing("rows", "Row by row", header, rows())


def _coefficients(fitted: Fitted) -> Listing | None:
    if "coefficients" not in fitted.arrays:
        return None
    found = np.asarray(fitted.arrays["coefficients"], dtype=np.float64)
    if found.ndim == 2:
        heads = class_names(fitted)
        intercepts = fitted.arrays["intercept"].tolist()
        body = [[name, *values] for name, values in zip(fitted.features, found.T.tolist(), strict=True)]
        return Listing("coefficients", "Coefficients", ["column", *heads], iter([["(intercept)", *intercepts], *body]))
    names, values = ["(intercept)", *fitted.features], [fitted.job.scalars.get("intercept"), *found.tolist()]
    if (errors := fitted.arrays.get("standard_errors")) is None:
        lines = [[name, value] for name, value in zip(names, values, strict=True)]
        return Listing("coefficients", "Coefficients", ["column", "coefficient"], iter(lines))
    known = [error if np.isfinite(error) else None for error in errors.tolist()]
    said = [fitted.job.scalars.get("intercept_standard_error"), *known]
    note = UNKNOWN_ERRORS if None in said else ""
    rows = iter([list(row) for row in zip(names, values, said, strict=True)])
    return Listing("coefficients", "Coefficients", ["column", "coefficient", "standard error"], rows, note)


def class_names(fitted: Fitted) -> list[str]:
    """What each row of a logistic regression's coefficients speaks for."""
    classes = fitted.class_names
    return (
        [f"{classes[1]} against {classes[0]}"]
        if len(classes) == 2
        else [f"{name} against the rest" for name in classes]
    )


def _centres(fitted: Fitted) -> Listing | None:
    if "centroids" not in fitted.arrays:
        return None
    centres, sizes = fitted.arrays["centroids"], fitted.arrays["cluster_sizes"].tolist()
    rows = ([i, sizes[i], *centre.tolist()] for i, centre in enumerate(centres))
    return Listing("centres", "Centres", ["cluster", "rows", *fitted.features], rows)


def _components(fitted: Fitted) -> Listing | None:
    if "components" not in fitted.arrays:
        return None
    shares = fitted.arrays["explained_variance_ratio"].tolist()
    rows = ([f"PC{i + 1}", shares[i], *row.tolist()] for i, row in enumerate(fitted.arrays["components"]))
    return Listing("components", "Components", ["component", "share of the variance", *fitted.features], rows)
