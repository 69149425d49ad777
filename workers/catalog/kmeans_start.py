"""Where k-means starts: a seeded sample of rows, and greedy k-means++ on it, the same on every machine.

Worker and coordinator both compute this in float64 on the CPU. Rounding may differ between two machines' BLAS by a
few units in the last place, so every decision is made with a margin, and the least margin is returned: two runs
that differ although it was wide cannot both be honest.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.catalog.base import Float
from workers.catalog.mapped import take
from workers.catalog.shifted import shift_of

SAMPLED_ABOVE = 4000  # rows; of fewer, a sample would leave out what is rare and save little
SAMPLE_MIN = 2000
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
    spread: float  # the mean of ‖x - shift‖² over all rows
    partial: bool  # whether there are other rows


def sample_size(rows: int, k: int) -> int:
    return rows if rows <= SAMPLED_ABOVE else min(rows, max(SAMPLE_MIN, SAMPLE_PER_CLUSTER * k))


def draw_sample(X: Float, k: int, seed: int, visit: Callable[[slice, Float, Float], None]) -> Sample:
    """All rows where there are few, else a lightweight coreset (Bachem, Lucic and Krause 2018).

    Half of the draws are uniform and half in proportion to the squared distance from the mean, so that what lies
    far off is not missed. One pass over X. Distances are rounded to whole numbers of a coarse unit before their sums
    are taken, so that rounding cannot make two machines draw differently. `visit` takes what else is wanted of that
    pass: the slice of rows, a block, and what to subtract from the block for X - shift.
    """
    n, size = len(X), sample_size(len(X), k)
    found = shift_of(take(X, np.sort(generator(seed, 0).integers(n, size=min(n, 1024)))))
    shift, level = found.near, found.near - found.row
    squared, constant = np.empty(n), float(level @ level)
    for rows, block in found.blocks(X):
        # ‖z - level‖², of which level is zero or no more than some spreads
        squared[rows] = np.einsum("ij,ij->i", block, block)
        if constant:
            squared[rows] += constant - block @ (2.0 * level)
        visit(rows, block, level)
    np.maximum(squared, 0.0, out=squared)
    spread = float(squared.mean())
    if size == n or not 0.0 < spread < np.inf:
        return Sample(np.arange(size), np.full(size, n / size), shift, spread, size < n)
    unit = 2.0 ** (np.floor(np.log2(spread)) - 20)
    np.rint(np.divide(squared, unit, out=squared), out=squared)
    cumulative = squared.astype(np.int64)
    del squared  # of tall data these are what a check holds
    cumulative += round(spread / unit)
    np.cumsum(cumulative, out=cumulative)
    marks = generator(seed, 3).random(size) * float(cumulative[-1])
    drawn = np.sort(np.minimum(np.searchsorted(cumulative, marks, side="right"), n - 1))
    shares = cumulative[drawn] - np.where(drawn > 0, cumulative[drawn - 1], 0)
    return Sample(drawn, float(cumulative[-1]) / shares / size, shift, spread, True)


def draw_starts(sample: Sample, centred: Float, k: int, seed: int, starts: int) -> tuple[NDArray[np.int64], Float]:
    """Positions in the sample (starts × k), and margins: see `plus_plus`. `centred` (m × d): its points less the shift.

    Where the sample is not all rows, every second of its points judges the draws.
    """
    randomness = [generator(seed, 1, run) for run in range(starts)]
    return plus_plus(centred, sample.weights, k, randomness, 2 if sample.partial else 1)


def plus_plus(
    points: Float, weights: Float, k: int, randomness: Sequence[np.random.Generator], apart: int
) -> tuple[NDArray[np.int64], Float]:
    """Weighted greedy k-means++ (Arthur and Vassilvitskii 2007, the best of 2 + ln k draws at every step), with the
    potentials summed over points that are `apart`.

    One start for each generator of `randomness`, all of them step by step together, so that the points are read once
    a step. `points` (m × d) should be centred. Gives the rows chosen (starts × k) and the least margin of any
    decision of each start (starts,).
    """
    m, starts = len(points), len(randomness)
    norms = np.einsum("ij,ij->i", points, points)
    judges, their_norms, their_weights = points[::apart].copy(), norms[::apart].copy(), weights[::apart].copy()
    draws = np.stack([rng.random((k, 2 + int(np.log(k)))) for rng in randomness])
    chosen = np.empty((starts, k), dtype=np.int64)
    mass = np.cumsum(weights)
    chosen[:, 0] = np.minimum(np.searchsorted(mass, draws[:, 0, 0] * mass[-1], side="right"), m - 1)
    nearest = _squared(points, norms, chosen[:, 0], points, norms)
    margins, every = np.ones(starts), np.arange(starts)
    for step in range(1, k):
        cumulative = np.cumsum(nearest * weights, axis=1)
        rows, gaps = _candidates(cumulative, draws[:, step])
        distances = _squared(points, norms, rows.ravel(), judges, their_norms).reshape(*rows.shape, -1)
        potentials = np.minimum(distances, nearest[:, None, ::apart], out=distances) @ their_weights
        limits = potentials.min(axis=1, keepdims=True) * (1 + TIE)
        total = cumulative[:, -1]
        some = total > 0.0  # else fewer distinct points than clusters: any row will do
        any_row = np.minimum((draws[:, step, 0] * m).astype(np.int64), m - 1)
        chosen[:, step] = np.where(some, rows[every, np.argmax(potentials <= limits, axis=1)], any_row)
        np.minimum(nearest, _squared(points, norms, chosen[:, step], points, norms), out=nearest)
        narrowest = np.minimum(gaps, np.abs(potentials - limits).min(axis=1)) / np.where(some, total, 1.0)
        margins = np.where(some, np.minimum(margins, narrowest), margins)
    return chosen, margins


def _candidates(cumulative: Float, draws: Float) -> tuple[NDArray[np.int64], Float]:
    """For each start, rows drawn in proportion to what `cumulative` (starts × m) sums up, and how near a draw came to
    a neighbouring row (starts,)."""
    last = cumulative.shape[1] - 1
    marks = draws * cumulative[:, -1:]
    found = [np.searchsorted(sums, wanted, side="right") for sums, wanted in zip(cumulative, marks, strict=True)]
    rows = np.minimum(np.stack(found), last)
    after = np.take_along_axis(cumulative, rows, axis=1)
    before = np.where(rows > 0, np.take_along_axis(cumulative, rows - 1, axis=1), -cumulative[:, -1:])
    return rows, np.minimum(np.abs(after - marks), np.abs(marks - before)).min(axis=1)


def _squared(points: Float, norms: Float, rows: NDArray[np.int64], others: Float, their_norms: Float) -> Float:
    """Squared distances (len(rows) × m) of the points `rows` from `others` (m × d), exactly 0 where they coincide."""
    sizes, m = norms[rows], len(others)
    squared = (-2.0 * points[rows]) @ others.T
    squared += their_norms
    squared += sizes[:, None]
    flat = squared.ravel()
    low = np.flatnonzero(squared <= SAME * (sizes + their_norms.max())[:, None])  # few, of which these coincide:
    flat[low[flat[low] <= SAME * (sizes[low // m] + their_norms[low % m])]] = 0.0
    return squared
