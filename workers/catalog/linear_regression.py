"""Ordinary least squares with an intercept."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from workers.catalog import least_squares, least_squares_check
from workers.catalog.backend import NUMPY, Backend, row_slices
from workers.catalog.base import (
    Answer,
    ArraySpec,
    CatalogModel,
    Check,
    DataError,
    Float,
    Parameter,
    ParameterError,
    Params,
    Progress,
    no_progress,
    refused_unread,
)
from workers.catalog.least_squares_check import Problem

UNDETERMINED = 1e-6  # the share of a coefficient in the null space, above which others can stand for it
FEATURES_MAX = 8192  # a float64 normal matrix of 0.5 GiB


class LinearRegression(CatalogModel):
    """Coefficients b (d,) and an intercept c that minimise ‖y − Xb − c‖².

    Where columns are collinear (a singular value of the standardised columns below 1e-6 of the largest), the optimum
    of least norm in standardised columns. A constant column (all of its values equal) has coefficient 0.
    """

    name: ClassVar[str] = "linear_regression"
    result_name: ClassVar[str] = "linear_regression"
    title: ClassVar[str] = "Linear regression"
    help: ClassVar[str] = "Fits a line (a plane) through the data by least squares, with an intercept."
    version: ClassVar[int] = 1
    needs_target: ClassVar[bool] = True
    parameters: ClassVar[tuple[Parameter, ...]] = ()

    def alpha(self, params: Params) -> float:
        """The ridge penalty: none here."""
        return 0.0

    def validate(self, params: Params, rows: int, features: int) -> None:
        if rows < 2:
            raise ParameterError("A regression needs at least two rows.")
        if not 1 <= features <= FEATURES_MAX:
            raise ParameterError(f"A regression takes 1 to {FEATURES_MAX} feature columns, and there are {features}.")

    def operations(self, params: Params, rows: int, features: int) -> float:
        return 2.0 * rows * features**2 + 20.0 * rows * features + 10.0 * features**3

    def answer_shapes(self, params: Params, rows: int, features: int) -> dict[str, ArraySpec]:
        return {"coefficients": ArraySpec((features,)), "intercept": ArraySpec(())}

    def fit(
        self, X: Float, y: Float | None, params: Params, seed: int, *, backend: Backend, progress: Progress
    ) -> dict[str, NDArray[Any]]:
        b, intercept = least_squares.fit(X, _target(y), self.alpha(params), backend, progress)
        progress(1.0, "done")
        return {"coefficients": b, "intercept": intercept}

    def check(
        self, X: Float, y: Float | None, params: Params, seed: int, answer: Answer, *, rng: np.random.Generator
    ) -> Check:
        rows, features = X.shape
        refused = refused_unread(self, params, X, answer)
        if refused is not None:
            return refused
        problem = Problem(X, _target(y), self.alpha(params))
        b, intercept = answer["coefficients"], float(answer["intercept"])
        if rows > 2 * least_squares_check.SAMPLES * least_squares_check.ROWS_PER_FEATURE * features:
            found = least_squares_check.sketch(problem, b, intercept, rng)
            if found.verdict == "accepted":
                return found
        try:
            found, ambiguous = least_squares_check.exact(problem, b, intercept)
            if found.verdict == "accepted":
                return found
            own = self.fit(X, y, params, seed, backend=NUMPY, progress=no_progress)
            shared, _ = least_squares_check.exact(problem, own["coefficients"], float(own["intercept"]))
        except DataError as error:
            return Check("inconclusive", "exact normal matrix", str(error), fault="job")
        if ambiguous or shared.verdict != "accepted":
            reason = "The columns are so nearly collinear that rounding decides the answer: drop or merge columns."
            return Check("inconclusive", found.method, reason, found.measured, found.tolerance, fault="job")
        return found

    def present(self, X: Float, y: Float | None, params: Params, answer: Answer) -> dict[str, Any]:
        target = _target(y)
        b = np.asarray(answer["coefficients"], dtype=np.float64)
        at = least_squares.centre(X, target)
        # Centred, for X @ b + intercept cancels where a mean is far above the spread.
        explained = np.empty(len(X))
        for rows in row_slices(X):
            explained[rows] = at.apply(X[rows]) @ b
        rest = at.y_centred - explained
        mse = float(np.mean(np.square(rest, out=rest)))
        variance = float(np.mean(np.square(at.y_centred, out=rest)))
        explained += at.y_mean
        result: dict[str, Any] = {
            "coefficients": b,
            "intercept": at.y_mean - float(at.mean @ b),
            "mse": mse,
            "rmse": mse**0.5,
            "r2": 1.0 - mse / variance if variance > 0 else (1.0 if mse == 0 else 0.0),
            "predictions": explained,
        }
        del at, rest  # of a tall matrix these are what is held
        return result | self.errors(X, target, params, mse)

    def errors(self, X: Float, y: Float, params: Params, mse: float) -> dict[str, Any]:
        """The rank of the centred columns, and the standard errors: the roots of the diagonal of s²(XcᵀXc)⁺ for the
        coefficients, and of s²(1/n + x̄ᵀ(XcᵀXc)⁺x̄) for the intercept, with s² = SSE/(n − 1 − rank).

        NaN (the intercept's: None) where no degrees of freedom are left, and for what the data do not determine, since
        a column is a combination of others; 0 for a constant column.
        """
        rows = len(X)
        at = least_squares.moments(X, y, 0.0)
        H = least_squares.spectrum(least_squares.normal_matrix(X, at, 0.0))
        rank = len(H.values)
        freedom = rows - 1 - rank
        if freedom <= 0:
            unknown = np.full(X.shape[1], np.nan)
            return {"rank": rank, "standard_errors": unknown, "intercept_standard_error": None}
        diagonal = np.einsum("ij,j,ij->i", H.vectors, 1.0 / H.values, H.vectors) / rows
        errors = np.sqrt(mse * rows / freedom * diagonal) / at.scale
        undetermined = ((H.null**2).sum(axis=1) > UNDETERMINED) & np.isfinite(at.scale)
        mean = at.centre.mean / at.scale
        lever = (1.0 + float(((mean @ H.vectors) ** 2) @ (1.0 / H.values))) / rows
        astray = float(((mean @ H.null) ** 2).sum()) > UNDETERMINED * float(mean @ mean)
        return {
            "rank": rank,
            "standard_errors": np.where(undetermined, np.nan, errors),
            "intercept_standard_error": None if astray else float(np.sqrt(mse * rows / freedom * lever)),
        }


def _target(y: Float | None) -> Float:
    if y is None:
        raise DataError("A regression needs a target column.")
    return y


MODEL = LinearRegression()
