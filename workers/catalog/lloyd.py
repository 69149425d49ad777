"""Lloyd's iteration, kept as a trajectory: which rows changed their label at every step.

Labels come from the backend's distances, in its dtype; centres are means in float64 on the CPU, kept up to date from
the changed rows alone. So a GPU's rounding moves a label between two centres that are equally near, and nothing else.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.catalog.backend import Backend, row_slices
from workers.catalog.base import Float
from workers.catalog.kmeans_start import generator
from workers.catalog.mapped import take

RESEEDED_STEPS = 10
BLOCK_BYTES = 8 << 20  # few calls of the BLAS a step: on a busy machine each waits for its threads
Labels = NDArray[np.uint16]
Rows = NDArray[np.uint32]


@dataclass
class Trajectory:
    """One run. All labels are 0 before the first step; step t gives `labels[t]` to the rows `rows[t]`, ascending."""

    rows: list[Rows] = field(default_factory=list)
    labels: list[Labels] = field(default_factory=list)
    centroids: list[Float] = field(default_factory=list)  # (k, d) after each step
    between: float = 0.0  # see `Means.between`


class Means:
    """Counts, weights (k,) and weighted sums (k × d) of the rows under each label, of X less `shift`.

    `total` is the weighted sum of all rows; without `weights` every row weighs 1.
    """

    def __init__(self, X: Float, shift: Float, k: int, total: Float, weights: Float | None = None) -> None:
        self.X, self.shift, self.weights = X, shift, weights
        self.counts = np.zeros(k, dtype=np.int64)
        self.mass = np.zeros(k)
        self.sums = np.zeros((k, X.shape[1]))
        self.counts[0], self.sums[0] = len(X), total
        self.mass[0] = len(X) if weights is None else float(weights.sum())

    def move(self, rows: Rows, old: Labels, new: Labels) -> None:
        k, size = len(self.counts), max(1, (8 << 20) // (8 * self.X.shape[1]))
        self.counts += np.bincount(new, minlength=k) - np.bincount(old, minlength=k)
        moved = None if self.weights is None else self.weights[rows]
        self.mass += np.bincount(new, moved, minlength=k) - np.bincount(old, moved, minlength=k)
        for start in range(0, len(rows), size):
            part = slice(start, start + size)
            values = take(self.X, rows[part]) - self.shift
            if moved is not None:
                values *= moved[part, None]
            for labels, sign in ((new[part], 1.0), (old[part], -1.0)):
                order = np.argsort(labels, kind="stable")
                present, starts = np.unique(labels[order], return_index=True)
                self.sums[present] += sign * np.add.reduceat(values[order], starts, axis=0)

    def centroids(self, before: Float, seed: int, run: int, step: int) -> Float:
        """The means, in the coordinates of X. See `fill_empty` for clusters without rows."""
        empty = self.counts == 0
        found = self.sums / np.where(empty, 1.0, self.mass)[:, None] + self.shift
        return fill_empty(found, empty, self.X, before, seed, run, step)

    def between(self, centroids: Float) -> float:
        """What the clusters explain: the weighted sum of squared distances of centres from `shift`."""
        return float((np.where(self.counts == 0, 0.0, self.mass) * ((centroids - self.shift) ** 2).sum(axis=1)).sum())


def fill_empty(
    centroids: Float, empty: NDArray[np.bool_], X: Float, before: Float, seed: int, run: int, step: int
) -> Float:
    """The rule for clusters without rows: in the first steps a row drawn by the job's seed, then the centre it had."""
    if empty.any():
        if step < RESEEDED_STEPS:
            drawn = generator(seed, 2, run, step).integers(len(X), size=len(centroids))
            centroids[empty] = take(X, np.sort(drawn[empty]))
        else:
            centroids[empty] = before[empty]
    return centroids


class Nearest:
    """Labels of all rows for given centres. A GPU holds the centred rows, in a unit in which float32 does not
    overflow; the CPU reads X as it is."""

    def __init__(self, backend: Backend, X: Float, shift: Float) -> None:
        self.backend, self.X, self.shift = backend, X, shift
        spread = float(np.sqrt(np.mean((X[: 1 << 12] - shift) ** 2)))
        self.centred = backend.name != "numpy" or float(np.abs(shift).max()) > 1e3 * spread
        self.held: list[Any] = []
        self.unit = 2.0 ** float(np.round(np.log2(spread))) if 0.0 < spread < np.inf else 1.0
        if backend.name != "numpy":
            middle = backend.asarray(shift)
            for _, block in backend.blocks(X):
                self.held.append(backend.astype((block - middle) / self.unit, backend.dtype))

    def __call__(self, centroids: Float) -> Labels:
        moved = centroids - self.shift
        if self.held:
            moved = moved / self.unit
        half = 0.5 * np.einsum("ij,ij->i", moved, moved)
        if self.held:
            xp, backend = self.backend.xp, self.backend
            C, bias = backend.asarray(moved.T, backend.dtype), backend.asarray(half, backend.dtype)
            parts = [backend.to_numpy(xp.argmax(xp.matmul(block, C) - bias, axis=1)) for block in self.held]
            return np.concatenate(parts).astype(np.uint16)
        if not self.centred:
            half = half + moved @ self.shift
        labels = np.empty(len(self.X), dtype=np.uint16)
        for rows in row_slices(self.X, BLOCK_BYTES):
            block = self.X[rows]
            scores = (block - self.shift if self.centred else block) @ moved.T
            scores -= half
            labels[rows] = scores.argmax(axis=1)
        return labels


def lloyd(
    X: Float,
    nearest: Nearest,
    means: Means,
    start: Float,
    *,
    seed: int,
    run: int,
    steps_max: int,
    shift_squared_max: float,
    progress: Callable[[int, float], None],
) -> Trajectory:
    """From `start` (k × d) until the centres move by at most `shift_squared_max` (a sum of squares) in a step.

    `means` must be new. `progress` is told each step before it begins, and what the clusters explain by then.
    """
    found, centroids, between = Trajectory(), start, 0.0
    labels = np.zeros(len(X), dtype=np.uint16)
    for step in range(steps_max):
        progress(step, between)
        now = nearest(centroids)
        rows = np.flatnonzero(now != labels).astype(np.uint32)
        means.move(rows, labels[rows], now[rows])
        before, labels = centroids, now
        centroids = means.centroids(before, seed, run, step)
        found.rows.append(rows)
        found.labels.append(labels[rows])
        found.centroids.append(centroids)
        between = means.between(centroids)
        if float(((centroids - before) ** 2).sum()) <= shift_squared_max:
            break
    found.between = between
    return found
