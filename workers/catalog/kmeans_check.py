"""Did k-means walk from the job's starts to where the answer ends? Every step is checked by samples and projections.

The starts and the runs on the sample of rows are replayed from their labels (`kmeans_replay`); the last run, on all
rows, is checked by secret random projections of the rows (the means) and a secret sample of rows (the labels). A label
is right when no centre is nearer by more than TIE · (‖x‖² + ‖c‖²), which leaves room for float32 and for ties, and for
nothing else.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.catalog.base import Answer, Float
from workers.catalog.kmeans_start import Sample
from workers.catalog.lloyd import Labels, Rows, fill_empty
from workers.catalog.mapped import take

TIE = 1e-5
MEANS_TOLERANCE = 1e-6
PROJECTIONS = 4
STEP_SAMPLE = 1024
LAST_SAMPLE = 4096
SCORES_AT_ONCE = 1 << 17  # rows × centres whose distances stay in a core's second-level cache
STOP_SLACK = 1e-3


class Wrong(Exception):
    """The answer fails. `proof` is false where rounding could explain it."""

    def __init__(self, reason: str, proof: bool = True) -> None:
        super().__init__(reason)
        self.reason, self.proof = reason, proof


@dataclass(frozen=True)
class Job:
    """What both sides derive from the job: `points` are the rows of the sample, `stop` the squared shift that ends the
    last run, and `pilot_stop` the runs on the sample."""

    X: Float
    points: Float
    sample: Sample
    stop: float
    pilot_stop: float
    k: int
    starts: int
    steps_max: int
    seed: int

    @property
    def shift(self) -> Float:
        return self.sample.shift


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


def steps_at_once(rows: int, k: int) -> int:
    return max(1, SCORES_AT_ONCE // max(1, rows * k))


def check_labels(points: Float, labels: Labels, centroids: Float) -> None:
    """`labels` (steps × m) must name the nearest of each step's `centroids` (steps × k × d) for the `points` (m × d);
    both less the job's shift."""
    steps, k, d = centroids.shape
    norms, size = np.einsum("ij,ij->i", points, points), steps_at_once(len(points), k)
    for few in (slice(start, start + size) for start in range(0, steps, size)):
        sizes = np.einsum("tij,tij->ti", centroids[few], centroids[few])
        squared = ((-2.0 * centroids[few].reshape(-1, d)) @ points.T).reshape(-1, k, len(points))
        squared += sizes[:, :, None]  # less ‖x‖², the same for all centres
        named = labels[few].astype(np.intp)
        own = np.take_along_axis(squared, named[:, None], axis=1)[:, 0]
        step, row = np.nonzero(~(own <= squared.min(axis=1)))  # few: ties, rounding and what is wrong
        best = squared[step, :, row].argmin(axis=1)
        allowed = TIE * (norms[row] + np.maximum(sizes[step, best], sizes[step, named[step, row]]))
        if not (own[step, row] - squared[step, best, row] <= allowed).all():
            raise Wrong("A row does not carry the label of its nearest centre.")


def check_stop(moved: float, stop: float) -> None:
    """`moved`: by how much the centres moved in a run's last step (a sum of squares), if steps were left."""
    if not moved <= stop * (1 + STOP_SLACK):
        raise Wrong("A run was stopped before its centres stood still.")


def check_last(
    job: Job, answer: Answer, start: Float, omega: Float, projected: Float, rng: np.random.Generator
) -> float:
    """Check the run on all rows; gives the largest error of a mean, over its tolerance. `projected` (projections × n)
    are the rows of X less the job's shift times the secret `omega` (d × projections)."""
    X, k = job.X, job.k
    n, trajectory = len(X), answer["centroids"]
    if not 1 <= len(trajectory) <= job.steps_max:
        raise Wrong("The number of steps is impossible.")
    picked = np.sort(rng.choice(n, size=min(STEP_SAMPLE, n), replace=False))
    sums, counts = np.zeros((len(trajectory), k, PROJECTIONS)), np.zeros((len(trajectory), k), dtype=np.int64)
    labels, seen = np.zeros(n, dtype=np.uint16), np.empty((len(trajectory), len(picked)), dtype=np.uint16)
    steps = steps_of(answer["changes"], answer["rows"], answer["labels"], n, k)
    for step, (changed, new) in enumerate(steps):
        rows = changed.astype(np.intp)
        old = labels[rows]
        labels[rows] = new
        if step == 0:  # all rows at once, rather than from the label that they had
            _move(sums[0], counts[0], projected, labels, 1)
        else:
            sums[step], counts[step] = sums[step - 1], counts[step - 1]
            part = projected.take(rows, axis=1)
            _move(sums[step], counts[step], part, old, -1)
            _move(sums[step], counts[step], part, new, 1)
        seen[step] = labels[picked]
    values, last, worst, size = take(X, picked) - job.shift, start, 0.0, steps_at_once(len(picked), k)
    for few in (slice(first, first + size) for first in range(0, len(trajectory), size)):
        after = np.asarray(trajectory[few])
        before = np.concatenate([last[None], after[:-1]])
        check_labels(values, seen[few], before - job.shift)
        worst = max(worst, _check_means(job, few.start, omega, sums[few], counts[few], before, after))
        last = after[-1]
    more = np.sort(rng.choice(n, size=min(LAST_SAMPLE, n), replace=False))
    check_labels(take(X, more) - job.shift, labels[None, more], before[-1:] - job.shift)
    if len(trajectory) < job.steps_max:
        check_stop(float(((last - before[-1]) ** 2).sum()), job.stop)
    return worst


def _move(sums: Float, counts: NDArray[np.int64], projected: Float, labels: Labels, sign: int) -> None:
    """Add to `sums` (k × projections) and `counts` (k,) what rows are `projected` to, or take it away."""
    named, k = labels.astype(np.intp), len(counts)
    counts += sign * np.bincount(named, minlength=k)
    for i, values in enumerate(projected):
        sums[:, i] += sign * np.bincount(named, values, minlength=k)


def _check_means(
    job: Job, first: int, omega: Float, sums: Float, counts: NDArray[np.int64], before: Float, after: Float
) -> float:
    """Of some steps from `first` on: `sums` (steps × k × projections), centres (steps × k × d)."""
    empty = counts == 0
    for step in np.flatnonzero(empty.any(axis=1)):
        lost = empty[step]
        wanted = fill_empty(after[step].copy(), lost, job.X, before[step], job.seed, job.starts, first + int(step))
        if not np.array_equal(wanted[lost], after[step, lost]):
            raise Wrong("The centre of an empty cluster does not follow the rule.")
    moved = after - job.shift
    errors = np.linalg.norm(moved @ omega - sums / np.maximum(counts, 1)[..., None], axis=2) / PROJECTIONS**0.5
    allowed = MEANS_TOLERANCE * (job.sample.spread**0.5 + np.sqrt(np.einsum("tij,tij->ti", moved, moved)))
    worst = float(np.max(np.where(empty, 0.0, errors) / np.maximum(allowed, 1e-300)))
    if not worst <= 1.0:
        # An honest mean is off by rounding alone, far below; between, rounding of extreme data could explain it.
        raise Wrong("A centre is not the mean of the rows with its label.", proof=not worst <= 10.0)
    return worst
