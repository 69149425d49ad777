"""K-means: ten seeded starts on a sample of the rows, the best carried to the end on all rows."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from workers.catalog import kmeans_check, kmeans_replay, kmeans_start
from workers.catalog.backend import NUMPY, Backend, row_slices
from workers.catalog.base import (
    Answer,
    ArraySpec,
    CatalogModel,
    Check,
    DataError,
    Float,
    Length,
    Parameter,
    ParameterError,
    Params,
    Progress,
    no_progress,
    refused_unread,
)
from workers.catalog.kmeans_check import Job, Wrong
from workers.catalog.lloyd import Means, Nearest, Trajectory, lloyd
from workers.catalog.mapped import KEPT_BYTES, made, release, take

METHOD = "trajectory: the largest error of a centre against the mean of its rows, over its tolerance"
BOUND = (
    "The seed's starts were all run on the sample of rows and the best was carried on, on all rows, until the centres "
    "stood still; at every step at most 0.7 % of labels (0.3 % at the last, 3 % on the sample) are not the nearest "
    "centre's, and each centre is within 1e-4 of the data's spread of the mean of its rows. "
    "The inertia is computed exactly."
)
# A run on a sample of m rows ends when its centres move by less than this part (as a sum of squares) of what another
# sample would move them by, which is about k clusters times the variance over m/k rows each.
PILOT_STILL = 0.01
ERROR_CHANCE = 1e-3  # of each step: 0.993^1024, and the smaller 0.97^256, 0.997^4096 and (e/100²)^2


class KMeans(CatalogModel):
    """Lloyd's k-means, a fixed point reached from the best of `n_init` seeded greedy k-means++ starts.

    The starts run to their ends on a seeded sample of max(2000, 30k) rows (all rows where at most 4000 are); the one
    of least inertia there is continued on all rows. A run ends when the sum of the squared moves of the centres in a
    step is at most `tol` times the mean variance of the columns, or after `max_iter` steps. On a sample it also ends
    when that sum is below a hundredth of what the choice of the sample alone moves the centres by.

    The answer is the trajectory of all these runs, as the changes of labels at every step, and the centres of the
    last run after every step; the final centres are the last of those.
    """

    name: ClassVar[str] = "kmeans_clustering"
    result_name: ClassVar[str] = "kmeans"
    title: ClassVar[str] = "K-means clustering"
    help: ClassVar[str] = "Groups the rows into k clusters around centres, so that rows lie near their centre."
    version: ClassVar[int] = 2
    needs_target: ClassVar[bool] = False
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("k", int, 3, "How many clusters.", minimum=1, maximum=4096),
        Parameter("n_init", int, 10, "How many starts to try.", minimum=1, maximum=100),
        Parameter("max_iter", int, 300, "The most steps of one run.", minimum=1, maximum=1000),
        Parameter("tol", float, 1e-4, "How still the centres must stand at the end.", minimum=0.0, maximum=1.0),
    )

    def validate(self, params: Params, rows: int, features: int) -> None:
        if rows < 1 or features < 1:
            raise ParameterError("Clustering needs at least one row and one feature column.")
        if params["k"] > rows:
            raise ParameterError(f"k must be at most the number of rows, {rows}.")
        if rows >= 2**32:
            raise ParameterError("Clustering takes fewer than 2^32 rows.")

    def operations(self, params: Params, rows: int, features: int) -> float:
        sampled = kmeans_start.sample_size(rows, params["k"])
        steps = min(int(params["max_iter"]), 50)
        return 2.0 * int(params["k"]) * features * steps * (rows + int(params["n_init"]) * sampled)

    def answer_shapes(self, params: Params, rows: int, features: int) -> dict[str, ArraySpec]:
        k, starts, most = params["k"], params["n_init"], params["max_iter"]
        sampled = kmeans_start.sample_size(rows, k)
        pilot_changed = Length("pilot_changed", starts * most * sampled)
        steps, changed = Length("steps", most), Length("changed", most * rows)
        return {
            "best": ArraySpec((), "int64"),  # the start that was carried on
            "start_rows": ArraySpec((starts, k), "uint32"),  # rows of X
            "pilot_steps": ArraySpec((starts,), "int64"),
            "pilot_changes": ArraySpec((Length("pilot_steps", starts * most),), "int64"),  # labels changed, a step
            "pilot_rows": ArraySpec((pilot_changed,), "uint32"),  # positions in the sample
            "pilot_labels": ArraySpec((pilot_changed,), "uint16"),
            "changes": ArraySpec((steps,), "int64"),
            "rows": ArraySpec((changed,), "uint32"),
            "labels": ArraySpec((changed,), "uint16"),
            "centroids": ArraySpec((steps, k, features)),
        }

    def fit(
        self, X: Float, y: Float | None, params: Params, seed: int, *, backend: Backend, progress: Progress
    ) -> dict[str, NDArray[Any]]:
        with np.errstate(over="ignore", invalid="ignore"):
            total = np.zeros(X.shape[1])

            def add(rows: slice, block: Float, level: Float) -> None:
                np.add(total, np.ones(len(block)) @ block - len(block) * level, out=total)

            job = _job(X, params, seed, add)
            starts, pilots = _pilots(job, backend, progress)
            best = int(np.argmin([-pilot.between for pilot in pilots]))
            nearest = Nearest(backend, X, job.shift)

            def note(step: int, between: float) -> None:
                inertia = f", inertia {len(X) * job.sample.spread - between:.6g}" if step else ""
                progress(0.3 + 0.7 * step / job.steps_max, f"step {step + 1} on all rows{inertia}")

            last = lloyd(
                X, nearest, Means(X, job.shift, job.k, total), pilots[best].centroids[-1], seed=seed,
                run=job.starts, steps_max=job.steps_max, shift_squared_max=job.stop, progress=note,
            )  # fmt: skip
        if not all(np.isfinite(centroids).all() for centroids in last.centroids):
            raise DataError("The numbers are too large: scale the columns to below 1e100.")
        progress(1.0, "done")
        return {
            "best": np.asarray(best, dtype=np.int64),
            "start_rows": starts,
            "pilot_steps": np.array([len(pilot.rows) for pilot in pilots], dtype=np.int64),
            "pilot_changes": np.array([len(rows) for pilot in pilots for rows in pilot.rows], dtype=np.int64),
            "pilot_rows": np.concatenate([rows for pilot in pilots for rows in pilot.rows]),
            "pilot_labels": np.concatenate([labels for pilot in pilots for labels in pilot.labels]),
            "changes": np.array([len(rows) for rows in last.rows], dtype=np.int64),
            "rows": np.concatenate(last.rows),
            "labels": np.concatenate(last.labels),
            "centroids": np.stack(last.centroids),
        }

    def check(
        self, X: Float, y: Float | None, params: Params, seed: int, answer: Answer, *, rng: np.random.Generator
    ) -> Check:
        refused = refused_unread(self, params, X, answer)
        if refused is not None:
            return refused
        with np.errstate(all="ignore"):
            try:
                worst = _verify(X, params, seed, answer, rng)
            except DataError as error:
                return Check("inconclusive", METHOD, str(error), fault="job")
            except Wrong as wrong:
                return self._blame(X, params, seed, rng, wrong)
        reason = "Every step follows from the one before it."
        return Check("accepted", METHOD, reason, worst, 1.0, BOUND, ERROR_CHANCE)

    def _blame(self, X: Float, params: Params, seed: int, rng: np.random.Generator, wrong: Wrong) -> Check:
        """Reject, unless the catalogue's own float64 run fails on these data too."""
        if not wrong.proof:
            reason = f"{wrong.reason} Rounding could explain it."
            return Check("inconclusive", METHOD, reason, fault="system")
        try:
            own = self.fit(X, None, params, seed, backend=NUMPY, progress=no_progress)
            _verify(X, params, seed, own, rng)
        except (DataError, Wrong):
            reason = "The data are so extreme that rounding decides the clusters: scale the columns."
            return Check("inconclusive", METHOD, reason, fault="job")
        return Check("rejected", METHOD, wrong.reason, fault="worker")

    def present(self, X: Float, y: Float | None, params: Params, answer: Answer) -> dict[str, Any]:
        centroids = np.asarray(answer["centroids"][-1], dtype=np.float64)
        labels = Nearest(NUMPY, X, X[: 1 << 12].mean(axis=0))(centroids).astype(np.int64)
        inertia = sum(float(((X[rows] - centroids[labels[rows]]) ** 2).sum()) for rows in row_slices(X))
        return {
            "k": int(params["k"]),
            "centroids": centroids,
            "labels": labels,
            "inertia": inertia,
            "iterations": len(answer["centroids"]),
            "start_iterations": int(answer["pilot_steps"][int(answer["best"])]),
            "cluster_sizes": np.bincount(labels, minlength=len(centroids)),
        }


def _job(X: Float, params: Params, seed: int, visit: Callable[[slice, Float, Float], None]) -> Job:
    """`visit`: see `draw_sample`.

    Raises:
        DataError: the numbers overflow.
    """
    k = int(params["k"])
    sample = kmeans_start.draw_sample(X, k, seed, visit)
    if not (np.isfinite(sample.shift).all() and sample.spread < 1e290):
        raise DataError("The numbers are too large: scale the columns to below 1e100.")
    stop = params["tol"] * sample.spread / X.shape[1]
    points = take(X, sample.rows)
    noise = sample.spread * k * k / len(points) if sample.partial else 0.0
    pilot_stop = max(stop, PILOT_STILL * noise)
    return Job(X, points, sample, stop, pilot_stop, k, params["n_init"], params["max_iter"], seed)


def _pilots(job: Job, backend: Backend, progress: Progress) -> tuple[NDArray[np.uint32], list[Trajectory]]:
    centred = job.points - job.shift
    nearest = Nearest(backend, job.points, job.shift)
    weights = job.sample.weights
    total = weights @ centred
    chosen, _ = kmeans_start.draw_starts(job.sample, centred, job.k, job.seed, job.starts)
    found = []
    for run in range(job.starts):

        def note(step: int, between: float, run: int = run) -> None:
            progress(0.3 * run / job.starts, f"start {run + 1} of {job.starts}, step {step + 1}")

        found.append(
            lloyd(
                job.points, nearest, Means(job.points, job.shift, job.k, total, weights), job.points[chosen[run]],
                seed=job.seed, run=run,
                steps_max=job.steps_max, shift_squared_max=job.pilot_stop, progress=note,
            )
        )  # fmt: skip
    return job.sample.rows[chosen].astype(np.uint32), found


def _verify(X: Float, params: Params, seed: int, answer: Answer, rng: np.random.Generator) -> float:
    """The largest error of a centre over its tolerance. One pass over X, and looks at some of its rows.

    Raises:
        DataError, Wrong
    """
    omega = rng.standard_normal((X.shape[1], kmeans_check.PROJECTIONS))
    projected, written = made((omega.shape[1], len(X)), X), 0

    def project(rows: slice, block: Float, level: Float) -> None:
        nonlocal written
        projected[:, rows] = (block @ omega - level @ omega).T
        written += len(block)
        if 8 * len(projected) * written >= KEPT_BYTES:
            release(projected)
            written = 0

    job = _job(X, params, seed, project)
    release(projected)
    start = kmeans_replay.check_pilots(job, answer, rng)
    return kmeans_check.check_last(job, answer, start, omega, projected, rng)


MODEL = KMeans()
