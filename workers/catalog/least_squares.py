"""Least squares with an intercept and a ridge penalty: the fit, and the certificate that an answer is the optimum.

With Xc the centred X, T the diagonal of t_j = sqrt(‖xc_j‖²/n + α/n), A = Xc T⁻¹/√n and H = AᵀA + (α/n) T⁻² (so that
diag H = 1), the objective over n is F(w) = ‖yc/√n − A w‖² + (α/n)‖T⁻¹w‖², b = T⁻¹w. It is a quadratic, so with
g = Aᵀr/√n − (α/n) T⁻² w, half its negative gradient at an answer, F(w) − min F = gᵀH⁺g exactly.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from workers.catalog.backend import NUMPY, Backend, row_slices
from workers.catalog.base import DataError, Float, Progress
from workers.catalog.mapped import some
from workers.catalog.shifted import SHIFT_ROWS

RANK_TOLERANCE = 1e-6  # singular values of standardised columns, relative to the largest
REFINEMENTS_MAX = 12
SPREAD_MIN, SPREAD_MAX = 1e-140, 1e150  # of the target and of a column: squares, and parts of them, stay in range


@dataclass(frozen=True)
class Centre:
    """Column means of X as shift + offset (each (d,)), and the target less its mean (n,).

    X − shift is exact where a column's values lie within a factor of two of each other (Sterbenz), so
    (X − shift) − offset keeps all digits of a column whose spread is far below its mean.
    """

    shift: Float
    offset: Float
    y_mean: float
    y_centred: Float

    @property
    def mean(self) -> Float:
        """The means rounded to float64, for the intercept."""
        return np.asarray(self.shift + self.offset)

    def apply(self, X: Float) -> Float:
        """Rows of X less the means."""
        return np.asarray((X - self.shift) - self.offset)


@dataclass(frozen=True)
class Moments:
    """The centre, the scales t (infinite for a constant column), and the variance of y (not divided by n − 1)."""

    centre: Centre
    scale: Float
    y_variance: float

    def standardiser(self, backend: Backend = NUMPY) -> Callable[[Any], Any]:
        """A function from a block of rows on the device to (block − mean) / scale; 0 in a constant column."""
        shift, offset = backend.asarray(self.centre.shift), backend.asarray(self.centre.offset)
        scale = backend.asarray(self.scale)
        return lambda block: ((block - shift) - offset) / scale


@dataclass(frozen=True)
class Spectrum:
    """The eigenvalues kept (largest first is not promised) and eigenvectors of H, and those of its null space."""

    values: Float
    vectors: Float
    null: Float
    ambiguous: bool  # an eigenvalue is so near the cutoff that rounding decides on which side it lies


@dataclass(frozen=True)
class Gradient:
    """At coefficients b and the intercept that is best for them: g, and the mean squared residual."""

    g: Float
    mse: float
    intercept: float


def centred_target(y: Float) -> tuple[float, Float]:
    """The target's mean, and the target centred twice (n,).

    Raises:
        DataError: the target varies so little that its squares underflow.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        shift = float(y[0]) if y.min() == y.max() else float(np.mean(y))
        rest = y - shift
        offset = float(np.mean(rest))
        rest -= offset
        if 0.0 < max(float(rest.max()), -float(rest.min())) < SPREAD_MIN:
            raise DataError(f"The target's values differ by less than {SPREAD_MIN:.0e}: scale the target up.")
    return shift + offset, rest


def centre(X: Float, y: Float) -> Centre:
    """The means of X in one pass, after a shift by the mean of some rows, and the target centred twice.

    Raises:
        DataError: the target varies so little that its squares underflow.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        shift = some(X, SHIFT_ROWS).mean(axis=0)
        total = np.zeros(X.shape[1])
        for rows in row_slices(X):
            total += np.ones(rows.stop - rows.start) @ (X[rows] - shift)
    y_mean, y_centred = centred_target(y)
    return Centre(shift, total / len(X), y_mean, y_centred)


def scales(reach: Float, parts: Iterable[Float], rows: int, penalty: float) -> Float:
    """sqrt(mean square + penalty) of each column of the centred `parts`, which hold `rows` rows together.

    Columns are divided by `reach`, their largest absolute value, before they are squared: nothing underflows.
    """
    unit = np.where(reach > 0.0, reach, 1.0)
    squares = np.zeros(len(reach))
    for part in parts:
        ratio = part / unit
        squares += np.einsum("ij,ij->j", ratio, ratio)
    return np.asarray(np.hypot(unit * np.sqrt(squares / rows), penalty**0.5))


def moments(X: Float, y: Float, alpha: float) -> Moments:
    """Three passes: the last is centred, so a large mean costs no digits. Only a column of equal values is constant.

    Raises:
        DataError: a number overflows, or the target's squares underflow.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        at = centre(X, y)
        low, high = X[0].copy(), X[0].copy()
        for rows in row_slices(X):
            low, high = np.minimum(low, X[rows].min(axis=0)), np.maximum(high, X[rows].max(axis=0))
        reach = np.maximum(np.abs(at.apply(low)), np.abs(at.apply(high)))
        constant = low == high
        scale = scales(reach, (at.apply(X[rows]) for rows in row_slices(X)), len(X), alpha / len(X))
        y_variance = float(np.mean(at.y_centred**2))
    if not ((reach <= SPREAD_MAX).all() and np.isfinite(scale).all() and np.isfinite(y_variance)):
        raise DataError("The numbers are too large: scale the columns to below 1e100.")
    if (scale[~constant] < np.finfo(np.float64).tiny).any():
        raise DataError("A column's values differ by too little for 64-bit numbers: scale the column up.")
    return Moments(at, np.where(constant, np.inf, scale), y_variance)


def penalties(scale: Float, alpha: float, rows: int) -> Float:
    """(α/n) T⁻², the penalty on each standardised coefficient."""
    return np.asarray(((alpha / rows) ** 0.5 / scale) ** 2)


def normal_matrix(X: Float, at: Moments, alpha: float, backend: Backend = NUMPY) -> Float:
    """H, in float64 throughout: its n·d² products are few beside reading X, even where float64 is slow.

    A constant column (scale infinity) gives a row and column of zeros.
    """
    xp = backend.xp
    standardised = at.standardiser(backend)
    total = backend.asarray(np.zeros((X.shape[1], X.shape[1])))
    for _, block in backend.blocks(X):
        scaled = standardised(block)
        total = total + xp.matmul(scaled.T, scaled)
    H = backend.to_numpy(total) / len(X) + np.diag(penalties(at.scale, alpha, len(X)))
    return np.asarray((H + H.T) / 2)


def spectrum(H: Float, rank_tolerance: float = RANK_TOLERANCE) -> Spectrum:
    """The part of H that counts: eigenvalues above (rank_tolerance · σ_max)², or above what rounding leaves."""
    values, vectors = np.linalg.eigh(H)
    largest = max(float(values[-1]), np.finfo(np.float64).tiny)
    cutoff = max(rank_tolerance**2, 8 * np.finfo(np.float64).eps * len(H)) * largest
    kept = values > cutoff
    near = (values > cutoff / 4) & (values < cutoff * 4)
    return Spectrum(values[kept], vectors[:, kept], vectors[:, ~kept], bool(near.any()))


def solve(H: Spectrum, g: Float) -> Float:
    """H⁺g."""
    return np.asarray(H.vectors @ ((H.vectors.T @ g) / H.values))


def gradient(X: Float, b: Float, at: Moments, alpha: float, backend: Backend = NUMPY) -> Gradient:
    """One pass in float64 over the standardised rows, whose products neither underflow nor overflow."""
    xp, middle = backend.xp, at.centre
    w = np.multiply(b, at.scale, out=np.zeros(len(b)), where=np.isfinite(at.scale))
    standardised, coefficients = at.standardiser(backend), backend.asarray(w)
    raw = backend.asarray(np.zeros(X.shape[1]))
    squares, rest = 0.0, 0.0
    for rows, block in backend.blocks(X):
        scaled = standardised(block)
        residual = backend.asarray(middle.y_centred[rows]) - xp.matmul(scaled, coefficients)
        raw = raw + xp.matmul(scaled.T, residual)
        squares += float(xp.sum(residual * residual))
        rest += float(xp.sum(residual))
    g = backend.to_numpy(raw) / len(X) - penalties(at.scale, alpha, len(X)) * w
    # What is left of the mean (rounding) belongs to the intercept.
    drift = rest / len(X)
    return Gradient(g, squares / len(X) - drift * drift, middle.y_mean - float(middle.mean @ b) + drift)


def fit(X: Float, y: Float, alpha: float, backend: Backend, progress: Progress) -> tuple[Float, Float]:
    """The coefficients (d,) and the intercept (): the least-norm optimum in standardised columns.

    Raises:
        DataError: a number overflows.
        Cancelled: from `progress`.
    """
    progress(0.0, "means and scales")
    at = moments(X, y, alpha)
    progress(0.1, "normal equations")
    H = spectrum(normal_matrix(X, at, alpha, backend))
    w = np.zeros(X.shape[1])
    intercept, before = at.centre.y_mean, np.inf
    for refinement in range(REFINEMENTS_MAX):
        progress(0.6 + 0.4 * refinement / REFINEMENTS_MAX, f"refinement {refinement + 1}")
        found = gradient(X, w / at.scale, at, alpha, backend)
        intercept = found.intercept
        step = solve(H, found.g)
        size = float(np.linalg.norm(step))
        if not size < before / 2:
            break
        w, before = w + step, size
        if size <= 1e-15 * float(np.linalg.norm(w)):
            break
    with np.errstate(over="ignore", invalid="ignore"):
        b = w / at.scale
        intercept = at.centre.y_mean - float(at.centre.mean @ b)
    if not (np.isfinite(b).all() and np.isfinite(intercept)):
        raise DataError("The numbers are too large or too small to fit: scale the columns.")
    return b, np.asarray(intercept)
