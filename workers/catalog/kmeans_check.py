"""Did k-means walk from the job's starts to where the answer ends? Every step is checked by samples and projections.

The starts and the runs on the sample of rows are replayed from their labels; the last run, on all rows, is checked
by secret random projections of the rows (the means) and a secret sample of rows (the labels). A label is right when
no centre is nearer by more than TIE · (‖x‖² + ‖c‖²), which leaves room for float32 and for ties, and for nothing else.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.catalog.backend import row_slices
from workers.catalog.base import Answer, Float
from workers.catalog.kmeans_start import NARROW, Sample, generator, plus_plus
from workers.catalog.lloyd import Labels, Means, Rows, fill_empty

TIE = 1e-5
MEANS_TOLERANCE = 1e-6
PROJECTIONS = 4
STEP_SAMPLE = 1024
PILOT_SAMPLE = 256
LAST_SAMPLE = 4096
STOP_SLACK = 1e-3
BEST_SLACK = 1e-6


class Wrong(Exception):
    """The answer fails. `proof` is false where rounding could explain it."""

    def __init__(self, reason: str, proof: bool = True) -> None:
        super().__init__(reason)
        self.reason, self.proof = reason, proof


@dataclass(frozen=True)
class Job:
    """What both sides derive from the job: `points` are the rows of the sample, `stop` the squared shift that ends."""

    X: Float
    points: Float
    sample: Sample
    stop: float
    k: int
    starts: int
    steps_max: int
    seed: int

    @property
    def shift(self) -> Float:
        return self.sample.shift

    def sampled_means(self) -> Means:
        weights = self.sample.weights
        return Means(self.points, self.shift, self.k, weights @ (self.points - self.shift), weights)


def steps_of(changes: NDArray[np.int64], rows: Rows, labels: Labels, n: int, k: int) -> Iterator[tuple[Rows, Labels]]:
    """The changes of each step.

    Raises:
        Wrong: counts that do not add up, a row twice in a step, a row or label that does not exist.
    """
    if len(changes) and (int(changes.min()) < 0 or int(changes.max()) > n) or int(changes.sum()) != len(rows):
        raise Wrong("The counts of changed labels do not add up.")
    if len(rows) and (int(rows.max()) >= n or int(labels.max()) >= k):
        raise Wrong("A changed label names a row or a cluster that does not exist.")
    ends = np.cumsum(changes)
    for start, end in zip(ends - changes, ends, strict=True):
        part = rows[start:end]
        if not (part[1:] > part[:-1]).all():
            raise Wrong("The rows of a step are not in order.")
        yield part, labels[start:end]


def check_labels(values: Float, labels: Labels, centroids: Float, shift: Float) -> None:
    """`values` (m × d) and `centroids` (k × d) in the coordinates of X; `labels` (m,) must name nearest centres."""
    points, moved = values - shift, centroids - shift
    norms, sizes = np.einsum("ij,ij->i", points, points), np.einsum("ij,ij->i", moved, moved)
    squared = points @ (-2.0 * moved.T)
    squared += sizes  # less ‖x‖², the same for all centres
    rows, best = np.arange(len(points)), squared.argmin(axis=1)
    allowed = TIE * (norms + np.maximum(sizes[best], sizes[labels]))
    if not (squared[rows, labels] - squared[rows, best] <= allowed).all():
        raise Wrong("A row does not carry the label of its nearest centre.")


def ended(job: Job, step: int, steps: int, before: Float, after: Float) -> None:
    """A run ends when the centres stand still or its steps are used up, and at no other step."""
    if step == steps - 1 and steps < job.steps_max:
        moved = float(((after - before) ** 2).sum())
        if not moved <= job.stop * (1 + STOP_SLACK):
            raise Wrong("A run was stopped before its centres stood still.")


def check_pilots(job: Job, answer: Answer, rng: np.random.Generator) -> Float:
    """Replay the starts on the sample, and give the centres (k × d) from which the last run must set out."""
    counts, best = answer["pilot_steps"], int(answer["best"])
    if not (0 <= best < job.starts and (counts >= 1).all() and (counts <= job.steps_max).all()):
        raise Wrong("The numbers of steps are impossible.")
    if int(counts.sum()) != len(answer["pilot_changes"]):
        raise Wrong("The numbers of steps do not add up.")
    steps = steps_of(answer["pilot_changes"], answer["pilot_rows"], answer["pilot_labels"], len(job.points), job.k)
    centred = job.points - job.shift
    squares = float(job.sample.weights @ (centred**2).sum(axis=1))
    inertias, finals = [], []
    randomness = [generator(job.seed, 1, run) for run in range(job.starts)]
    chosen, margins = plus_plus(centred, job.sample.weights, job.k, randomness)
    for run in range(job.starts):
        if not np.array_equal(job.sample.rows[chosen[run]], answer["start_rows"][run]):
            proof = bool(margins[run] > NARROW)
            raise Wrong("A start is not the one that the job's seed gives.", proof=proof)
        after, between = _replay(job, run, int(counts[run]), steps, job.points[chosen[run]], rng)
        finals.append(after)
        inertias.append(squares - between)
    if not inertias[best] <= min(inertias) + BEST_SLACK * max(min(inertias), 1e-12 * squares):
        raise Wrong("Another start had a smaller inertia.")
    return finals[best]


def _replay(
    job: Job,
    run: int,
    count: int,
    steps: Iterator[tuple[Rows, Labels]],
    start: Float,
    rng: np.random.Generator,
) -> tuple[Float, float]:
    labels = np.zeros(len(job.points), dtype=np.uint16)
    means = job.sampled_means()
    picked = rng.choice(len(labels), size=min(PILOT_SAMPLE, len(labels)), replace=False)
    values, after = job.points[picked], start
    for step in range(count):
        rows, new = next(steps)
        means.move(rows, labels[rows], new)
        labels[rows] = new
        check_labels(values, labels[picked], after, job.shift)
        before, after = after, means.centroids(after, job.seed, run, step)
        ended(job, step, count, before, after)
    return after, means.between(after)


def check_last(job: Job, answer: Answer, start: Float, rng: np.random.Generator) -> float:
    """Check the run on all rows; gives the largest error of a mean, over its tolerance."""
    X, k = job.X, job.k
    n, trajectory = len(X), answer["centroids"]
    if not 1 <= len(trajectory) <= job.steps_max:
        raise Wrong("The number of steps is impossible.")
    omega = rng.standard_normal((X.shape[1], PROJECTIONS))
    projected = np.concatenate([X[rows] @ omega for rows in row_slices(X)]) - job.shift @ omega
    sums, counts = np.zeros((k, PROJECTIONS)), np.zeros(k, dtype=np.int64)
    sums[0], counts[0] = projected.sum(axis=0), n
    picked = np.sort(rng.choice(n, size=min(STEP_SAMPLE, n), replace=False))
    values, labels, after, worst = X[picked], np.zeros(n, dtype=np.uint16), start, 0.0
    steps = steps_of(answer["changes"], answer["rows"], answer["labels"], n, k)
    for step, (rows, new) in enumerate(steps):
        old, part = labels[rows], projected[rows]
        counts += np.bincount(new, minlength=k) - np.bincount(old, minlength=k)
        for i in range(PROJECTIONS):
            sums[:, i] += np.bincount(new, part[:, i], minlength=k) - np.bincount(old, part[:, i], minlength=k)
        labels[rows] = new
        check_labels(values, labels[picked], after, job.shift)
        before, after = after, np.asarray(trajectory[step])
        worst = max(worst, _check_means(job, step, omega, sums, counts, before, after))
        if step == len(trajectory) - 1:
            more = np.sort(rng.choice(n, size=min(LAST_SAMPLE, n), replace=False))
            check_labels(X[more], labels[more], before, job.shift)
        ended(job, step, len(trajectory), before, after)
    return worst


def _check_means(
    job: Job,
    step: int,
    omega: Float,
    sums: Float,
    counts: NDArray[np.int64],
    before: Float,
    after: Float,
) -> float:
    empty = counts == 0
    if empty.any():
        wanted = fill_empty(after.copy(), empty, job.X, before, job.seed, job.starts, step)
        if not np.array_equal(wanted[empty], after[empty]):
            raise Wrong("The centre of an empty cluster does not follow the rule.")
    moved = after - job.shift
    errors = np.linalg.norm(moved @ omega - sums / np.maximum(counts, 1)[:, None], axis=1) / PROJECTIONS**0.5
    allowed = MEANS_TOLERANCE * (job.sample.spread**0.5 + np.sqrt(np.einsum("ij,ij->i", moved, moved)))
    worst = float(np.max(np.where(empty, 0.0, errors) / np.maximum(allowed, 1e-300)))
    if not worst <= 1.0:
        # An honest mean is off by rounding alone, far below; between, rounding of extreme data could explain it.
        raise Wrong("A centre is not the mean of the rows with its label.", proof=not worst <= 10.0)
    return worst
