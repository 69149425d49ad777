"""A contributor's Celery worker that cheats on everything: ``celery -A tests.network.cheater worker``.

It is the real worker, with the real enrolment, heartbeats and spool; what it answers is not what it should be, and it
does not check itself. It writes down how it cheated on which assignment in ``cheats.jsonl`` in its own folder.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import workers.tasks
from workers.catalog.backend import NUMPY, Backend
from workers.catalog.base import CatalogModel, Float, Progress, no_progress
from workers.celery import app
from workers.compute import select
from workers.host import this_host
from workers.protocol import Specification

__all__ = ["app"]

Answer = dict[str, np.ndarray]
OFFSET = int(os.environ.get("CHEAT_OFFSET", "0"))


class Job:
    """What was asked for, and what an honest worker would answer."""

    def __init__(self, spec: Specification, model: CatalogModel, matrix: Float) -> None:
        self.spec, self.model = spec, model
        self.X, self.y = select(matrix, spec)
        self.params = model.clean(spec["params"])
        self.honest = self.fit()
        self.rng = np.random.default_rng(OFFSET)

    def fit(self, rows: slice = slice(None), seed: int | None = None) -> Answer:
        y = None if self.y is None else self.y[rows]
        seed = self.spec["seed"] if seed is None else seed
        return self.model.fit(self.X[rows], y, self.params, seed, backend=NUMPY, progress=no_progress)

    def with_floats(self, change: Callable[[np.ndarray], np.ndarray]) -> Answer:
        return {name: change(array) if array.dtype.kind == "f" else array for name, array in self.honest.items()}


earlier: dict[tuple[str, str], Answer] = {}  # honest answers by model and matrix


def zeros(job: Job) -> Answer:
    return job.with_floats(np.zeros_like)


def perturbed(job: Job) -> Answer:
    return job.with_floats(lambda array: np.asarray(array * (1 + 0.05 * job.rng.standard_normal(array.shape))))


def half_of_the_rows(job: Job) -> Answer:
    return job.fit(slice(None, None, 2))


def another_jobs_answer(job: Job) -> Answer:
    others = [
        answer for (name, sha256), answer in earlier.items()
        if name == job.model.name and sha256 != job.spec["matrix"]["sha256"]
    ]  # fmt: skip
    return others[0] if others else zeros(job)


def not_a_number(job: Job) -> Answer:
    return job.with_floats(lambda array: np.full_like(array, np.nan))


def misshapen(job: Job) -> Answer:
    return job.with_floats(lambda array: np.append(array.ravel(), 1.0))


def one_entry_forged(job: Job) -> Answer:
    gram = job.honest["gram"].copy()
    gram[0, 1] += 0.3 * np.sqrt(gram[0, 0] * gram[1, 1])
    gram[1, 0] = gram[0, 1]
    return {"gram": gram}


def uncentred(job: Job) -> Answer:
    return {"gram": job.X.T @ job.X}


def stopped_early(job: Job) -> Answer:
    """The way cut off after its first step, sold as the whole."""
    changes = job.honest["changes"]
    if len(changes) < 2:
        return zeros(job)
    kept = int(changes[0])
    cut = {"changes": changes[:1], "rows": job.honest["rows"][:kept], "labels": job.honest["labels"][:kept]}
    return job.honest | cut | {"centroids": job.honest["centroids"][:1]}


def another_seed(job: Job) -> Answer:
    return job.fit(seed=job.spec["seed"] + 1)


COMMON = (zeros, perturbed, half_of_the_rows, another_jobs_answer, not_a_number, misshapen)
CHEATS: dict[str, Sequence[Callable[[Job], Answer]]] = {
    "linear_regression": COMMON,
    "pca_analysis": (*COMMON, one_entry_forged, uncentred),
    "kmeans_clustering": (*COMMON, stopped_early, another_seed),
}
turns: Counter[str] = Counter()  # of each model; cheaters begin at different ways


def cheat(
    spec: Specification, model: CatalogModel, matrix: Float, backends: Sequence[Backend], progress: Progress
) -> dict[str, Any]:
    """In the place of `workers.compute.compute`."""
    job = Job(spec, model, matrix)
    ways = CHEATS[model.name]
    way = ways[(OFFSET + turns[model.name]) % len(ways)]
    turns[model.name] += 1
    answer = way(job)
    earlier[model.name, spec["matrix"]["sha256"]] = job.honest
    with (this_host().settings.home / "cheats.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"assignment": spec["assignment"], "model": model.name, "way": way.__name__}) + "\n")
    return answer


workers.tasks.compute = cheat
