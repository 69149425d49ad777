"""Where k-means starts: a seeded sample of rows, and greedy k-means++ on it, the same on every machine.

Worker and coordinator both compute this in float64 on the CPU. Rounding may differ between two machines' BLAS by a
few units in the last place, so every decision is made with a margin, and the least margin is returned: two runs
that differ although it was wide cannot both be honest.
"""

import numpy as np
from numpy.typing import NDArray

from workers.catalog.base import Float

SAMPLE_MIN = 4000
SAMPLE_PER_CLUSTER = 30
SAME = 1e-12  # squared distances below this part of the squared norms are 0: the points are the same
NARROW = 1e-12
TIE = 1e-9  # potentials within this of the best are tied, and the first of them is taken


def generator(seed: int, *purpose: int) -> np.random.Generator:
    """The job's public randomness for one purpose."""
    return np.random.default_rng([seed % 2**64, *purpose])


def sample_rows(rows: int, k: int, seed: int) -> NDArray[np.int64]:
    """The rows of the sample, ascending: all of them where there are few."""
    size = min(rows, max(SAMPLE_MIN, SAMPLE_PER_CLUSTER * k))
    if size == rows:
        return np.arange(rows)
    return np.sort(generator(seed, 0).choice(rows, size=size, replace=False, shuffle=False))


def plus_plus(points: Float, k: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], float]:
    """Greedy k-means++ (Arthur and Vassilvitskii 2007, the best of 2 + ln k draws at every step).

    `points` (m × d) should be centred. Gives the rows chosen (k,) and the least margin of any decision.
    """
    m = len(points)
    norms = np.einsum("ij,ij->i", points, points)
    draws = rng.random((k, 2 + int(np.log(k))))
    chosen = np.empty(k, dtype=np.int64)
    chosen[0] = min(int(draws[0, 0] * m), m - 1)
    nearest = _squared(points, norms, chosen[:1])[0]
    margin = 1.0
    for step in range(1, k):
        cumulative = np.cumsum(nearest)
        total = float(cumulative[-1])
        if not total > 0.0:  # fewer distinct points than clusters: any row will do
            chosen[step] = min(int(draws[step, 0] * m), m - 1)
            continue
        marks = draws[step] * total
        candidates = np.minimum(np.searchsorted(cumulative, marks, side="right"), m - 1)
        before = np.where(candidates > 0, cumulative[candidates - 1], -total)
        gaps = np.minimum(np.abs(cumulative[candidates] - marks), np.abs(marks - before))
        distances = np.minimum(nearest, _squared(points, norms, candidates))
        potentials = distances.sum(axis=1)
        limit = float(potentials.min()) * (1 + TIE)
        first = int(np.argmax(potentials <= limit))
        margin = min(margin, float(gaps.min()) / total, float(np.abs(potentials - limit).min()) / total)
        chosen[step] = candidates[first]
        nearest = distances[first]
    return chosen, margin


def _squared(points: Float, norms: Float, rows: NDArray[np.int64]) -> Float:
    """Squared distances (len(rows) × m) of the points from the points of `rows`, exactly 0 where they coincide."""
    sizes = norms[rows][:, None] + norms
    squared = sizes - 2.0 * (points[rows] @ points.T)
    return np.where(squared <= SAME * sizes, 0.0, squared)
