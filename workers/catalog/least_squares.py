"""Least squares with an intercept and a ridge penalty: the fit, and the certificate that an answer is the optimum.

With Xc the centred X, T the diagonal of t_j = sqrt(‖xc_j‖²/n + α/n), A = Xc T⁻¹/√n and H = AᵀA + (α/n) T⁻² (so that
diag H = 1), the objective over n is F(w) = ‖yc/√n − A w‖² + (α/n)‖T⁻¹w‖², b = T⁻¹w. It is a quadratic, so with
g = Aᵀr/√n − (α/n) T⁻² w, half its negative gradient at an answer, F(w) − min F = gᵀH⁺g exactly.
"""

from dataclasses import dataclass

import numpy as np

from workers.catalog.backend import NUMPY, Backend, row_slices
from workers.catalog.base import DataError, Float, Progress

RANK_TOLERANCE = 1e-6  # singular values of standardised columns, relative to the largest
REFINEMENTS_MAX = 12


@dataclass(frozen=True)
class Moments:
    """Means over the rows, the scales t (1 for a constant column), and the variance of y (not divided by n − 1)."""

    mean: Float
    y_mean: float
    scale: Float
    y_variance: float


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


def means(X: Float, y: Float) -> tuple[Float, float]:
    """Column means of X and the mean of y, in one pass."""
    total = np.zeros(X.shape[1])
    for rows in row_slices(X):
        total += np.ones(rows.stop - rows.start) @ X[rows]
    return total / len(X), float(np.mean(y))


def moments(X: Float, y: Float, alpha: float) -> Moments:
    """Two passes: the second is centred, so a large mean costs no digits.

    Raises:
        DataError: a number overflows.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        mean, y_mean = means(X, y)
        squares = np.zeros(X.shape[1])
        for rows in row_slices(X):
            centred = X[rows] - mean
            squares += np.einsum("ij,ij->j", centred, centred)
        y_variance = float(np.mean((y - y_mean) ** 2))
        constant = np.sqrt(squares / len(X)) <= 1e-12 * np.abs(mean)
        scale = np.sqrt(np.where(constant, 0.0, squares) / len(X) + alpha / len(X))
    if not (np.isfinite(scale).all() and np.isfinite(mean).all() and np.isfinite(y_variance)):
        raise DataError("The numbers are too large: scale the columns to below 1e100.")
    return Moments(mean, y_mean, np.where(constant | (scale == 0.0), np.inf, scale), y_variance)


def normal_matrix(X: Float, at: Moments, alpha: float, backend: Backend = NUMPY) -> Float:
    """H, in float64 throughout: its n·d² products are few beside reading X, even where float64 is slow.

    A constant column (scale infinity) gives a row and column of zeros.
    """
    xp = backend.xp
    mean, scale = backend.asarray(at.mean), backend.asarray(at.scale)
    total = backend.asarray(np.zeros((X.shape[1], X.shape[1])))
    for _, block in backend.blocks(X):
        scaled = (block - mean) / scale
        total = total + xp.matmul(scaled.T, scaled)
    H = backend.to_numpy(total) / len(X) + np.diag(alpha / len(X) / at.scale**2)
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


def gradient(X: Float, y: Float, b: Float, at: Moments, alpha: float, backend: Backend = NUMPY) -> Gradient:
    """One pass in float64 over the centred rows."""
    xp = backend.xp
    mean, coefficients = backend.asarray(at.mean), backend.asarray(b)
    raw = backend.asarray(np.zeros(X.shape[1]))
    squares, rest = 0.0, 0.0
    for rows, block in backend.blocks(X):
        centred = block - mean
        residual = backend.asarray(y[rows] - at.y_mean) - xp.matmul(centred, coefficients)
        raw = raw + xp.matmul(centred.T, residual)
        squares += float(xp.sum(residual * residual))
        rest += float(xp.sum(residual))
    g = (backend.to_numpy(raw) - alpha * b) / at.scale / len(X)
    # What is left of the mean (rounding) belongs to the intercept.
    drift = rest / len(X)
    return Gradient(g, squares / len(X) - drift * drift, at.y_mean - float(at.mean @ b) + drift)


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
    intercept, before = at.y_mean, np.inf
    for refinement in range(REFINEMENTS_MAX):
        progress(0.6 + 0.4 * refinement / REFINEMENTS_MAX, f"refinement {refinement + 1}")
        found = gradient(X, y, w / at.scale, at, alpha, backend)
        intercept = found.intercept
        step = solve(H, found.g)
        size = float(np.linalg.norm(step))
        if not size < before / 2:
            break
        w, before = w + step, size
        if size <= 1e-15 * float(np.linalg.norm(w)):
            break
    b = w / at.scale
    intercept = at.y_mean - float(at.mean @ b)
    if not (np.isfinite(b).all() and np.isfinite(intercept)):
        raise DataError("The numbers are too large or too small to fit: scale the columns.")
    return b, np.asarray(intercept)
