"""One binary logistic regression: Newton's method, and a rigorous bound on an answer's excess.

The objective is P(w, c) = ½‖w‖² + C Σ log(1 + exp(−s_i(w·x_i + c))), s = ±1. With α_i = σ(−s_i(w·x_i + c)) and c such
that Σ α_i s_i = 0, α is feasible for the dual problem, and the duality gap is ½‖w − C Σ α_i s_i x_i‖², half the
squared gradient. So P(w, c) − min P is at most that, whatever the data: no sketch, no chance of error, two passes.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from workers.catalog.backend import Backend, row_slices
from workers.catalog.base import DataError, Float
from workers.catalog.least_squares import Moments

NEWTON_MAX = 60
INTERCEPT_STEPS = 200


@dataclass(frozen=True)
class Excess:
    """How far an answer is from the optimum: at most `bound`; the objective and the best intercept for its w."""

    bound: float
    objective: float
    intercept: float


def sigmoid(z: Float) -> Float:
    """1 / (1 + exp(−z)), with one new array."""
    found = np.negative(z, out=np.empty(np.shape(z)))
    with np.errstate(over="ignore"):
        np.exp(found, out=found)
    found += 1.0
    return np.divide(1.0, found, out=found)


def scores(X: Float, w: Float) -> Float:
    """X w, in blocks of rows (n,)."""
    found = np.empty(len(X))
    for rows in row_slices(X):
        found[rows] = X[rows] @ w
    return found


def best_intercept(z: Float, positive: int) -> float:
    """The c with Σ σ(z_i + c) = `positive`, 0 < positive < n: Newton's method, kept inside a bracket."""
    n = len(z)
    reach = float(np.log(n)) + 1.0
    low, high = -float(z.max()) - reach, -float(z.min()) + reach
    c = float(np.clip(np.log(positive / (n - positive)) - float(np.median(z)), low, high))
    for _ in range(INTERCEPT_STEPS):
        p = sigmoid(z + c)
        value = float(p.sum()) - positive
        slope = float(np.multiply(p, 1 - p, out=p).sum())
        if value > 0:
            high = c
        else:
            low = c
        moved = c - value / slope if slope > 0 else np.inf
        following = moved if low < moved < high else (low + high) / 2
        if abs(following - c) <= 1e-15 * max(1.0, abs(c)):
            break
        c = following
    return c


def objective(z: Float, signs: Float, w: Float, C: float) -> float:
    """P at scores `z` that hold the intercept."""
    short = np.multiply(signs, z)
    np.logaddexp(0.0, np.negative(short, out=short), out=short)
    return 0.5 * float(w @ w) + C * float(short.sum())


def excess(X: Float, signs: Float, w: Float, c: float, C: float) -> Excess:
    """The bound above, with the intercept computed here; what the answered `c` loses is added."""
    z = scores(X, w)
    if not np.isfinite(z).all():
        return Excess(np.inf, np.inf, 0.0)
    best = best_intercept(z, int((signs > 0).sum()))
    short = z + best
    short *= signs
    pull = sigmoid(np.negative(short, out=short))
    del short
    pull *= signs
    gradient = w.copy()
    for rows in row_slices(X):
        gradient -= C * (X[rows].T @ pull[rows])
    least = objective(z + best, signs, w, C)
    lost = max(objective(z + c, signs, w, C) - least, 0.0)
    return Excess(0.5 * float(gradient @ gradient) + lost, least, best)


def newton(X: Float, signs: Float, C: float, at: Moments, backend: Backend) -> tuple[Float, float]:
    """w (d,) and c. Steps are taken in standardised columns, where the Hessian is well scaled.

    Raises:
        DataError: the steps do not converge (numbers out of all proportion).
    """
    d = X.shape[1]
    # The penalty holds w below C Σ|x|, so such a column moves no score, while the square of its scale underflows.
    at = replace(at, scale=np.where(at.scale < 1e-100, np.inf, at.scale))
    penalty = 1.0 / at.scale**2 / C / len(X)
    u, best, decrement = np.zeros(d + 1), np.inf, np.inf
    u[d] = np.log((signs > 0).sum() / (signs < 0).sum())
    step, size = np.zeros(d + 1), 1.0
    for _ in range(NEWTON_MAX):
        value, gradient, hessian = _derivatives(X, signs, u + size * step, at, penalty, backend)
        if not np.isfinite(value) or value > best + 1e-12 * abs(best):
            size /= 2
            if size < 1e-10:
                break
            continue
        u, best = u + size * step, value
        step, size = -np.linalg.lstsq(hessian, gradient, rcond=1e-15)[0], 1.0
        before, decrement = decrement, -float(gradient @ step)
        if decrement <= 1e-26 * max(1.0, best) or (decrement <= 1e-15 and decrement >= before / 4):
            break
    w = u[:d] / at.scale
    if not np.isfinite(w).all() or decrement > 1e-10:
        raise DataError("The fit does not converge: scale the columns.")
    return w, float(best_intercept(scores(X, w), int((signs > 0).sum())))


def _derivatives(
    X: Float, signs: Float, u: Float, at: Moments, penalty: Float, backend: Backend
) -> tuple[float, Float, NDArray[np.float64]]:
    """Value, gradient (d + 1,) and Hessian of P/(C n) in standardised coordinates with the intercept last."""
    xp, n, d = backend.xp, len(X), X.shape[1]
    standardised, w = at.standardiser(backend), backend.asarray(u[:d])
    total, first = backend.asarray(np.zeros((d, d))), backend.asarray(np.zeros(d))
    cross = backend.asarray(np.zeros(d))
    value, gradient, hessian = 0.0, np.empty(d + 1), np.empty((d + 1, d + 1))
    slope, curve = 0.0, 0.0
    for rows, block in backend.blocks(X):
        A = standardised(block)
        z = backend.to_numpy(xp.matmul(A, w)) + u[d]
        margin = signs[rows] * z
        value += float(np.logaddexp(0.0, -margin).sum())
        pull, p = -signs[rows] * sigmoid(-margin), sigmoid(z)
        weight = p * (1.0 - p)
        weighted = A * backend.asarray(weight)[:, None]
        total = total + xp.matmul(A.T, weighted)
        cross = cross + xp.sum(weighted, axis=0)
        first = first + xp.matmul(A.T, backend.asarray(pull))
        slope, curve = slope + float(pull.sum()), curve + float(weight.sum())
    gradient[:d] = backend.to_numpy(first) / n + penalty * u[:d]
    gradient[d] = slope / n
    hessian[:d, :d] = backend.to_numpy(total) / n + np.diag(penalty)
    hessian[d, :d] = hessian[:d, d] = backend.to_numpy(cross) / n
    hessian[d, d] = curve / n
    return value / n + 0.5 * float(u[:d] @ (penalty * u[:d])), gradient, hessian
