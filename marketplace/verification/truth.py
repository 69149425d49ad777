"""A job with its honest answer, and whether another is as right, found by other means than the catalogue's check."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.catalog import MODELS, logistic
from workers.catalog.backend import NUMPY, Backend
from workers.catalog.base import Answer, CatalogModel, Float, no_progress

Made = dict[str, NDArray[Any]]
Labels = NDArray[Any]


@dataclass(frozen=True)
class Case:
    """A job on one data set, and its honest answer."""

    model: CatalogModel
    X: Float
    y: Float | None
    params: dict[str, Any]
    seed: int
    honest: Made

    def fit(self, X: Float, y: Float | None, backend: Backend = NUMPY) -> Made:
        return self.model.fit(X, y, self.params, self.seed, backend=backend, progress=no_progress)


def prepare(name: str, X: Float, y: Float | None, seed: int, **given: Any) -> Case:
    model = MODELS[name]
    params = model.clean(given)
    model.validate(params, *X.shape)
    target = y if model.needs_target else None
    honest = model.fit(X, target, params, seed, backend=NUMPY, progress=no_progress)
    return Case(model, X, target, params, seed, honest)


def labels_of(changes: Labels, rows: Labels, labels: Labels, count: int) -> list[Labels]:
    """The label of each of `count` rows after every step of a run of k-means, from the steps' changes."""
    current, found = np.zeros(count, dtype=np.uint16), []
    ends = np.cumsum(changes)[:-1]
    for changed, new in zip(np.split(rows, ends), np.split(labels, ends), strict=True):
        current = current.copy()
        current[changed] = new
        found.append(current)
    return found


def _walk(X: Float, start: Float, steps: list[Labels]) -> tuple[float, list[Float]]:
    """Every row at every step: the largest share that does not carry its nearest centre's label, ties allowed twice
    as wide as the check does; and the means that the labels give."""
    shift = X.mean(axis=0)
    Xc = X - shift
    norms, share, path = (Xc**2).sum(axis=1), 0.0, [start]
    for labels in steps:
        C = path[-1] - shift
        sizes = (C**2).sum(axis=1)
        squared = norms[:, None] + sizes - 2 * Xc @ C.T
        own, least = squared[np.arange(len(X)), labels], squared.min(axis=1)
        ties = 2e-5 * (norms + np.maximum(sizes[labels], sizes[squared.argmin(axis=1)])) + 1e-9 * norms.mean()
        share = max(share, float(np.mean(own - least > ties)))
        means = path[-1].copy()
        for cluster in np.unique(labels):
            means[cluster] = X[labels == cluster].mean(axis=0)
        path.append(means)
    return share, path


def _clusters_are_right(case: Case, answer: Answer) -> bool:
    """Every start and the last run, replayed on every row. For data that are all in the sample (at most 2,000 rows)."""
    X, counts = case.X, answer["pilot_steps"]
    changes = np.split(answer["pilot_changes"], np.cumsum(counts)[:-1])
    ends = np.cumsum([part.sum() for part in changes])[:-1]
    runs = zip(changes, np.split(answer["pilot_rows"], ends), np.split(answer["pilot_labels"], ends), strict=True)
    finals = []
    for run, (part, rows, labels) in enumerate(runs):
        share, path = _walk(X, X[answer["start_rows"][run]], labels_of(part, rows, labels, len(X)))
        finals.append(path[-1])
        if share > 0.03:
            return False
    steps = labels_of(answer["changes"], answer["rows"], answer["labels"], len(X))
    share, path = _walk(X, finals[int(answer["best"])], steps)
    spread = float(np.sqrt(((X - X.mean(axis=0)) ** 2).sum(axis=1).mean()))
    off = np.linalg.norm(answer["centroids"] - np.array(path[1:]), axis=2).max()
    return share <= 0.007 and bool(off <= 1e-4 * spread)


def is_right(case: Case, answer: Answer) -> bool:
    """Whether an answer is within what its certificate promises of the honest one, by other means than the check.

    Regressions: the excess of the objective, computed from the difference to the optimum. PCA: the scaled error of the
    whole Gram matrix. K-means: every step on every row.
    """
    X, y, best = case.X, case.y, case.honest
    mean = X.mean(axis=0)
    if "gram" in best:
        scale = np.maximum(np.linalg.norm(X - mean, axis=0), 1e-9 * len(X) ** 0.5 * np.abs(mean) + 1e-300)
        error = np.linalg.norm((answer["gram"] - best["gram"]) / scale / scale[:, None])
        return bool(error <= 1e-4 * len(scale) ** 0.5)
    if "centroids" in best:
        return _clusters_are_right(case, answer)
    if y is None:
        raise ValueError("a regression without a target")
    if "C" in case.params:
        return _logistic_is_right(case, y, answer)
    alpha = case.params.get("alpha", 0.0)
    off = answer["coefficients"] - best["coefficients"]
    excess = float((((X - mean) @ off) ** 2).sum() + alpha * off @ off)
    residual = y - y.mean() - (X - mean) @ answer["coefficients"]
    tolerated = min(1e-6, 1e-3 * X.shape[1] / len(X)) * float(residual @ residual)
    return excess <= 1.1 * max(tolerated, 1e-11 * float(((y - y.mean()) ** 2).sum()))


def _logistic_is_right(case: Case, y: Float, answer: Answer) -> bool:
    classes, C = np.unique(y), case.params["C"]
    for i, label in enumerate(classes[1:] if len(classes) == 2 else classes):
        signs = np.where(y == label, 1.0, -1.0)
        at, least = (
            logistic.objective(case.X @ w["coefficients"][i] + w["intercept"][i], signs, w["coefficients"][i], C)
            for w in (answer, case.honest)
        )
        if at - least > 1.1 * max(min(1e-6 * least, 5e-4 * C * case.X.shape[1]), 1e-12 * least):
            return False
    return True
