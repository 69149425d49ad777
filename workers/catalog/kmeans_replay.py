"""The starts of k-means, drawn again, and its runs on the sample of rows, replayed from their labels side by side."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.catalog.base import Answer, Float
from workers.catalog.kmeans_check import Job, Wrong, check_labels, check_stop, steps_of
from workers.catalog.kmeans_start import NARROW, draw_starts
from workers.catalog.lloyd import Labels, Rows, fill_empty

PILOT_SAMPLE = 256
BEST_SLACK = 1e-6
CHUNK_BYTES = 8 << 20
ROUNDING, PROOF = 1e-12, 1e-9  # of the squared distances from the middle; what rounding does, and what it never does

Walk = list[tuple[Rows, Labels]]  # the changes of a run, step by step


def check_pilots(job: Job, answer: Answer, rng: np.random.Generator) -> Float:
    """Give the centres (k × d) from which the last run must set out."""
    counts, best = answer["pilot_steps"], int(answer["best"])
    if not (0 <= best < job.starts and (counts >= 1).all() and (counts <= job.steps_max).all()):
        raise Wrong("The numbers of steps are impossible.")
    if int(counts.sum()) != len(answer["pilot_changes"]):
        raise Wrong("The numbers of steps do not add up.")
    steps = steps_of(answer["pilot_changes"], answer["pilot_rows"], answer["pilot_labels"], len(job.points), job.k)
    walks = [[next(steps) for _ in range(int(count))] for count in counts]
    centred = job.points - job.shift
    chosen, margins = draw_starts(job.sample, centred, job.k, job.seed, job.starts)
    for run in np.flatnonzero((job.sample.rows[chosen] != answer["start_rows"]).any(axis=1)):
        proof = bool(margins[run] > NARROW)
        raise Wrong("A start is not the one that the job's seed gives.", proof=proof)
    replay = Replay(job, centred, chosen, rng)
    for step in range(int(counts.max())):
        replay.step(step, walks)
    squares = float(job.sample.weights @ np.einsum("ij,ij->i", centred, centred))
    inertias = squares - replay.between()
    # Of rows that lie on their centres all that is left is the rounding of `squares`, which differs between machines.
    excess = float(inertias[best] - inertias.min() - BEST_SLACK * max(inertias.min(), 0.0))
    if not excess <= ROUNDING * squares:
        raise Wrong("Another start had a smaller inertia.", proof=not excess <= PROOF * squares)
    return np.asarray(replay.centroids[best])


class Replay:
    """All runs on the sample, each at the same step. Cluster j of run r is number r·k + j in the sums."""

    def __init__(self, job: Job, centred: Float, chosen: NDArray[np.int64], rng: np.random.Generator) -> None:
        """`centred` (m × d) are the points less the job's shift, `chosen` (starts × k) those that are the starts."""
        m, clusters = len(centred), job.starts * job.k
        self.job, self.weighted = job, centred * job.sample.weights[:, None]
        self.labels = np.zeros((job.starts, m), dtype=np.uint16)
        self.counts, self.mass = np.zeros(clusters, dtype=np.int64), np.zeros(clusters)
        self.sums = np.zeros((clusters, centred.shape[1]))
        self.centroids = job.points[chosen]  # (starts, k, d)
        self.picked = rng.choice(m, min(PILOT_SAMPLE, m), replace=False)
        self.values = centred[self.picked]

    def step(self, step: int, walks: list[Walk]) -> None:
        """Step `step` of all runs that have one.

        Raises:
            Wrong
        """
        job = self.job
        live = np.array([run for run, walk in enumerate(walks) if step < len(walk)])
        self._relabel(step, live, [walks[run][step] for run in live])
        before = self.centroids[live]
        check_labels(self.values, self.labels[live[:, None], self.picked], before - job.shift)
        empty = (self.counts == 0).reshape(job.starts, job.k)
        means = self.sums / np.where(empty.ravel(), 1.0, self.mass)[:, None] + job.shift
        after = means.reshape(self.centroids.shape)[live]
        for i, run in enumerate(live):
            fill_empty(after[i], empty[run], job.points, before[i], job.seed, int(run), step)
            if step == len(walks[run]) - 1 and step < job.steps_max - 1:
                check_stop(float(((after[i] - before[i]) ** 2).sum()), job.pilot_stop)
        self.centroids[live] = after

    def _relabel(self, step: int, live: NDArray[np.intp], changes: Walk) -> None:
        runs = np.repeat(live, [len(rows) for rows, _ in changes])
        rows = np.concatenate([rows for rows, _ in changes])
        old = self.labels[runs, rows]
        self.labels[runs, rows] = np.concatenate([new for _, new in changes])
        if step > 0:
            self._move(rows, runs * self.job.k + old, -1)
        else:  # all rows at once, rather than from the label that they had
            runs, rows = (index.ravel() for index in np.indices(self.labels.shape))
        self._move(rows, runs * self.job.k + self.labels[runs, rows], 1)

    def _move(self, rows: NDArray[Any], clusters: NDArray[np.intp], sign: int) -> None:
        """Add `rows` to the sums of `clusters`, or take them away."""
        self.counts += sign * np.bincount(clusters, minlength=len(self.counts))
        self.mass += sign * np.bincount(clusters, self.job.sample.weights[rows], minlength=len(self.mass))
        order, size = np.argsort(clusters), max(1, CHUNK_BYTES // (8 * self.weighted.shape[1]))
        for start in range(0, len(order), size):
            part = order[start : start + size]
            named = clusters[part]
            first = np.flatnonzero(np.diff(named, prepend=-1))
            self.sums[named[first]] += sign * np.add.reduceat(self.weighted.take(rows[part], axis=0), first, axis=0)

    def between(self) -> Float:
        """What the clusters of each run explain (starts,): see `Means.between`."""
        mass = np.where(self.counts == 0, 0.0, self.mass).reshape(self.job.starts, self.job.k)
        return np.asarray((mass * ((self.centroids - self.job.shift) ** 2).sum(axis=2)).sum(axis=1))
