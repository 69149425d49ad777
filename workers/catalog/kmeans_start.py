"""Where k-means starts: a seeded sample of rows, and greedy k-means++ on it, the same on every machine.

Worker and coordinator both compute this in float64 on the CPU. Rounding may differ between two machines' BLAS by a
few units in the last place, so every decision is made with a margin, and the least margin is returned: two runs
that differ although it was wide cannot both be honest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.catalog.backend import row_slices
from workers.catalog.base import Float

SAMPLE_MIN = 4000
SAMPLE_PER_CLUSTER = 30
SAME = 1e-12  # squared distances below this part of the squared norms are 0: the points are the same
NARROW = 1e-12
TIE = 1e-9  # potentials within this of the best are tied, and the first of them is taken


def generator(seed: int, *purpose: int) -> np.random.Generator:
    """The job's public randomness for one purpose."""
    return np.random.default_rng([seed % 2**64, *purpose])


@dataclass(frozen=True)
class Sample:
    """Rows of X, ascending, and for how many rows each stands."""

    rows: NDArray[np.int64]
    weights: Float
    shift: Float  # (d,) near the mean of X
    total: Float  # (d,) the sum of X - shift over all rows
    spread: float  # the mean of ‖x - shift‖² over all rows


def sample_size(rows: int, k: int) -> int:
    return min(rows, max(SAMPLE_MIN, SAMPLE_PER_CLUSTER * k))


def draw_sample(X: Float, k: int, seed: int) -> Sample:
    """All rows where there are few, else a lightweight coreset (Bachem, Lucic and Krause 2018).

    Half of the draws are uniform and half in proportion to the squared distance from the mean, so that what lies
    far off is not missed. One pass over X. Distances are rounded to whole numbers of a coarse unit before their sums
    are taken, so that rounding cannot make two machines draw differently.
    """
    n, size = len(X), sample_size(len(X), k)
    few = X[np.sort(generator(seed, 0).integers(n, size=min(n, 1024)))]
    shift = few.mean(axis=0)
    squared, total = np.empty(n), np.zeros(X.shape[1])
    for rows in row_slices(X):
        centred = X[rows] - shift
        total += np.ones(len(centred)) @ centred
        squared[rows] = np.einsum("ij,ij->i", centred, centred)
    spread = float(squared.mean())
    if size == n or not 0.0 < spread < np.inf:
        return Sample(np.arange(size), np.full(size, n / size), shift, total, spread)
    unit = 2.0 ** (np.floor(np.log2(spread)) - 20)
    shares = np.rint(squared / unit).astype(np.int64) + round(spread / unit)
    cumulative = np.cumsum(shares)
    marks = generator(seed, 3).random(size) * float(cumulative[-1])
    drawn = np.sort(np.minimum(np.searchsorted(cumulative, marks, side="right"), n - 1))
    return Sample(drawn, float(cumulative[-1]) / shares[drawn] / size, shift, total, spread)


def plus_plus(
    points: Float, weights: Float, k: int, randomness: Sequence[np.random.Generator]
) -> tuple[NDArray[np.int64], Float]:
    """Weighted greedy k-means++ (Arthur and Vassilvitskii 2007, the best of 2 + ln k draws at every step).

    One start for each generator of `randomness`, all of them step by step together, so that the points are read once
    a step. `points` (m × d) should be centred. Gives the rows chosen (starts × k) and the least margin of any
    decision of each start (starts,).
    """
    m, starts = len(points), len(randomness)
    norms = np.einsum("ij,ij->i", points, points)
    draws = np.stack([rng.random((k, 2 + int(np.log(k)))) for rng in randomness])
    chosen = np.empty((starts, k), dtype=np.int64)
    mass = np.cumsum(weights)
    chosen[:, 0] = np.minimum(np.searchsorted(mass, draws[:, 0, 0] * mass[-1], side="right"), m - 1)
    nearest = _squared(points, norms, chosen[:, 0])
    margins = np.ones(starts)
    for step in range(1, k):
        cumulative = np.cumsum(nearest * weights, axis=1)
        candidates = [_candidates(cumulative[run], draws[run, step], m) for run in range(starts)]
        distances = _squared(points, norms, np.concatenate([rows for rows, _ in candidates])).reshape(starts, -1, m)
        for run, (rows, gap) in enumerate(candidates):
            total = float(cumulative[run, -1])
            if not total > 0.0:  # fewer distinct points than clusters: any row will do
                chosen[run, step] = min(int(draws[run, step, 0] * m), m - 1)
                continue
            np.minimum(nearest[run], distances[run], out=distances[run])
            potentials = distances[run] @ weights
            limit = float(potentials.min()) * (1 + TIE)
            first = int(np.argmax(potentials <= limit))
            margins[run] = min(margins[run], gap, float(np.abs(potentials - limit).min()) / total)
            chosen[run, step] = rows[first]
            nearest[run] = distances[run, first]
    return chosen, margins


def _candidates(cumulative: Float, draws: Float, m: int) -> tuple[NDArray[np.int64], float]:
    """Rows drawn in proportion to what `cumulative` sums up, and how near a draw came to a neighbouring row."""
    total = float(cumulative[-1])
    marks = draws * total
    rows = np.minimum(np.searchsorted(cumulative, marks, side="right"), m - 1)
    before = np.where(rows > 0, cumulative[rows - 1], -total)
    gaps = np.minimum(np.abs(cumulative[rows] - marks), np.abs(marks - before))
    return rows, float(gaps.min()) / total if total > 0.0 else 1.0


def _squared(points: Float, norms: Float, rows: NDArray[np.int64]) -> Float:
    """Squared distances (len(rows) × m) of the points from the points of `rows`, exactly 0 where they coincide."""
    sizes = norms[rows][:, None] + norms
    squared = (-2.0 * points[rows]) @ points.T
    squared += sizes
    sizes *= SAME
    squared[squared <= sizes] = 0.0
    return squared
