"""Is an answer the least-squares optimum? The excess of its objective is gᵀH⁺g exactly; H is sketched or exact.

For a fixed vector v = H⁺g and Ĥ from m uniform row samples, E[vᵀĤv] = vᵀHv = excess, and by Cauchy and Schwarz
q = gᵀĤ⁺g ≥ excess²/(vᵀĤv). So excess > 10q has a chance of at most 1/10 (Markov), 1e-4 in four samples, whatever the
data, when g lies in the range of every Ĥ.
"""

from dataclasses import dataclass

import numpy as np

from workers.catalog import least_squares
from workers.catalog.base import Check, DataError, Float
from workers.catalog.least_squares import Centre, Gradient, Moments
from workers.catalog.mapped import take
from workers.catalog.shifted import find_shift

SAMPLES = 4
ROWS_PER_FEATURE = 5
MARKOV = 10.0
INTERCEPT_TOLERANCE = 1e-6
NULL_TOLERANCE = 1e-6
BOUND = (
    "The sum of squares (with its penalty) exceeds the least possible by at most {:.1e} of itself, so each coefficient "
    "that the data determine lies within a small part of its standard error of the exact one."
)
EXACT_FIT = (
    "The fit is so near to exact that rounding decides what is left: the sum of squares (with its penalty) exceeds the "
    "least possible by at most {:.1e} of the target's variation."
)
EXACT_PART = 1e-11  # of the target's variance, for fits whose residual is rounding


@dataclass(frozen=True)
class Problem:
    """What is minimised: ‖y − Xb − c‖² + alpha‖b‖²."""

    X: Float
    y: Float
    alpha: float
    relative: float | None = None  # of the sum of squares; None: `tolerated`

    @property
    def tolerated(self) -> float:
        """min(1e-6, 1e-3·d/n): coefficients within 0.03·√d of their standard errors."""
        rows, features = self.X.shape
        return min(1e-6, 1e-3 * features / rows) if self.relative is None else self.relative


def tolerance(problem: Problem, found: Gradient, y_variance: float) -> float:
    """The excess that is accepted, over n. The second term is for exact fits, whose residual is rounding."""
    return max(problem.tolerated * found.mse, EXACT_PART * y_variance)


def bound(problem: Problem, found: Gradient, y_variance: float) -> str:
    """What an answer within `tolerance` is worth, in words."""
    if problem.tolerated * found.mse < EXACT_PART * y_variance:
        return EXACT_FIT.format(EXACT_PART)
    return BOUND.format(problem.tolerated)


def at_answer(problem: Problem, b: Float) -> tuple[Centre, Gradient]:
    """The means, and the gradient in the columns' own units (not divided by scales, without the penalty): one pass.

    Raises:
        DataError: the target varies so little that its squares underflow.
    """
    X, rows = problem.X, len(problem.X)
    y_mean, y_centred = least_squares.centred_target(problem.y)
    shift = find_shift(X)
    level = float((shift.near - shift.row) @ b)  # so that residuals are small before the means are known
    total, raw = np.zeros(X.shape[1]), np.zeros(X.shape[1])
    squares, rest = 0.0, 0.0
    for part, block in shift.blocks(X):
        total += np.einsum("ij->j", block)
        residual = y_centred[part] - (block @ b - level)
        raw += residual @ block
        squares += float(residual @ residual)
        rest += float(residual.sum())
    middle = Centre(shift.row, total / rows, y_mean, y_centred)
    mean = rest / rows
    # Rounding's part of the mean residual belongs to the intercept.
    drift = mean + float((shift.row - shift.near + middle.offset) @ b)
    intercept = y_mean - float(middle.mean @ b) + drift
    mse = max(squares / rows - mean * mean, 0.0)
    return middle, Gradient(raw / rows - middle.offset * mean, mse, intercept)


def sketch(problem: Problem, b: Float, intercept: float, rng: np.random.Generator) -> Check:
    """The cheap tier: one pass over X for the means and the gradient, and four samples of rows. Never rejects."""
    X, rows, features = problem.X, *problem.X.shape
    method = f"row samples: excess over the least sum of squares, over n; {SAMPLES} samples of {ROWS_PER_FEATURE}d rows"
    picks = np.sort(rng.integers(rows, size=(SAMPLES, ROWS_PER_FEATURE * features)), axis=1)
    with np.errstate(all="ignore"):
        try:
            middle, found = at_answer(problem, b)
        except DataError as error:
            return Check("inconclusive", method, str(error))
        sampled = [middle.apply(take(X, pick)) for pick in picks]
        reach = np.max([np.abs(part).max(axis=0) for part in sampled], axis=0)
        scale = least_squares.scales(reach, sampled, picks.size, problem.alpha / rows)
        if not np.isfinite(scale).all() or (reach <= 1e-9 * np.abs(middle.mean)).any() or (reach < 1e-300).any():
            return Check("inconclusive", method, "A column is constant in the sample.")
        at = Moments(middle, scale, float(np.mean(middle.y_centred**2)))
        penalties = least_squares.penalties(scale, problem.alpha, rows)
        g = found.g / scale - penalties * (b * scale)
        allowed = tolerance(problem, found, at.y_variance)
        measured = 0.0
        for part in sampled:
            A = part / scale
            H = A.T @ A / len(A) + np.diag(penalties)
            if not np.isfinite(H).all() or not np.isfinite(g).all():
                return Check("inconclusive", method, "A number overflows.")
            parts = least_squares.spectrum(H, 1e-5)
            if parts.null.shape[1]:
                return Check("inconclusive", method, "The sampled rows do not span all columns.")
            measured = max(measured, MARKOV * float(g @ least_squares.solve(parts, g)))
    if not measured <= allowed or _intercept_error(found, intercept, at, b) > 1:
        return Check("inconclusive", method, "The sampled bound does not settle it.", measured, allowed)
    reason = "The bound on the excess over the least sum of squares is within the tolerance."
    chance = MARKOV**-SAMPLES
    worth = bound(problem, found, at.y_variance)
    return Check("accepted", method, reason, measured, allowed, worth, chance, {"mse": found.mse})


def exact(problem: Problem, b: Float, intercept: float) -> tuple[Check, bool]:
    """The exact tier, and whether the rank of X is so near the cutoff that a failure proves nothing.

    Raises:
        DataError: a number overflows.
    """
    X, y = problem.X, problem.y
    method = "exact normal matrix: excess over the least sum of squares, over n"
    at = least_squares.moments(X, y, problem.alpha)
    H = least_squares.spectrum(least_squares.normal_matrix(X, at, problem.alpha))
    with np.errstate(all="ignore"):
        found = least_squares.gradient(X, b, at, problem.alpha)
        measured = float(found.g @ least_squares.solve(H, found.g))
        allowed = tolerance(problem, found, at.y_variance)
        w = np.where(np.isinf(at.scale), b * np.abs(at.centre.mean).clip(1e-300), b * at.scale)
        drift = float(np.linalg.norm(H.null.T @ w)) / max(float(np.linalg.norm(w)), 1e-300)
    reason = ""
    if not measured <= allowed:
        reason = "The sum of squares is not the least: the coefficients are not the optimum."
    elif H.null.shape[1] and not drift <= NULL_TOLERANCE:
        reason = "Of the coefficients that fit equally well, these are not the least."
    elif not _intercept_error(found, intercept, at, b) <= 1:
        reason = "The intercept is not the mean of what the coefficients leave."
    if reason:
        return Check("rejected", method, reason, measured, allowed, fault="worker"), H.ambiguous
    reason = "The excess over the least sum of squares is within the tolerance."
    worth = bound(problem, found, at.y_variance)
    return Check("accepted", method, reason, measured, allowed, worth, detail={"mse": found.mse}), H.ambiguous


def _intercept_error(found: Gradient, intercept: float, at: Moments, b: Float) -> float:
    """The intercept's error over what is tolerated."""
    size = abs(at.centre.y_mean) + float(np.abs(at.centre.mean) @ np.abs(b))
    allowed = INTERCEPT_TOLERANCE * at.y_variance**0.5 + 1e-9 * size
    error = abs(intercept - found.intercept)
    return error / allowed if allowed > 0 else (0.0 if error == 0 else np.inf)
