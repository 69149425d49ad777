"""Answers that lazy and lying workers send, made on real data to measure how many of them a check lets through."""

from collections.abc import Callable

import array_api_compat.numpy as numpy_namespace
import numpy as np

from marketplace.verification.truth import Case, Made, labels_of
from workers.catalog import logistic
from workers.catalog.backend import NUMPY, Backend
from workers.catalog.base import no_progress

# The way that a GPU takes, on the CPU: products in float32.
FLOAT32 = Backend("simulated", numpy_namespace, "cpu", "float32")
DESCENT_STEPS = 50
PERTURBATION = 1e-3


def honest(case: Case, rng: np.random.Generator) -> Made:
    return case.honest


def float32(case: Case, rng: np.random.Generator) -> Made:
    return case.fit(case.X, case.y, FLOAT32)


def subsample(case: Case, rng: np.random.Generator) -> Made:
    """Computed from half of the rows."""
    rows = np.sort(rng.permutation(len(case.X))[: max(2, len(case.X) // 2)])
    if "gram" in case.honest:
        centred = case.X[rows] - case.X[rows].mean(axis=0)
        return {"gram": centred.T @ centred * (len(case.X) / len(rows))}
    if "centroids" in case.honest:
        path, answer = case.honest["centroids"].copy(), case.honest
        steps = labels_of(answer["changes"], answer["rows"], answer["labels"], len(case.X))
        for centroids, labels in zip(path, steps, strict=True):
            for cluster in np.unique(labels[rows]):
                centroids[cluster] = case.X[rows][labels[rows] == cluster].mean(axis=0)
        return case.honest | {"centroids": path}
    return case.fit(case.X[rows], None if case.y is None else case.y[rows])


def early_stop(case: Case, rng: np.random.Generator) -> Made:
    """An iteration given up half-way: of gradient descent, of a subspace iteration, of Lloyd's."""
    if "gram" in case.honest:
        G = case.honest["gram"]
        basis = np.linalg.qr(G @ rng.normal(size=(len(G), max(1, len(G) // 2))))[0]
        return {"gram": basis @ (basis.T @ G @ basis) @ basis.T}
    if "centroids" in case.honest:
        half = max(1, int(case.honest["pilot_steps"].max()) // 2)
        params = case.params | {"max_iter": half}
        return case.model.fit(case.X, None, params, case.seed, backend=NUMPY, progress=no_progress)
    return _descend(case)


def _descend(case: Case) -> Made:
    """Gradient descent in standardised columns from zero, on the squares or on the logistic loss."""
    if case.y is None:
        raise ValueError("a regression without a target")
    mean, scale = case.X.mean(axis=0), case.X.std(axis=0)
    scale[scale == 0] = 1.0
    A, logits = (case.X - mean) / scale, case.params.get("C")
    step = 1.0 / np.linalg.norm(A, 2) ** 2
    if logits is None:
        w = np.zeros(A.shape[1])
        for _ in range(DESCENT_STEPS):
            w += step * (A.T @ (case.y - case.y.mean() - A @ w))
        b = w / scale
        return {"coefficients": b, "intercept": np.asarray(case.y.mean() - mean @ b)}
    classes = np.unique(case.y)
    W, c = [], []
    for label in classes[1:] if len(classes) == 2 else classes:
        signs, w = np.where(case.y == label, 1.0, -1.0), np.zeros(A.shape[1])
        for _ in range(DESCENT_STEPS):
            w += 4 * step * (A.T @ (signs * logistic.sigmoid(-signs * (A @ w))))
        W.append(w / scale)
        c.append(logistic.best_intercept(case.X @ W[-1], int((signs > 0).sum())))
    return {"coefficients": np.array(W), "intercept": np.array(c)}


def perturbed(case: Case, rng: np.random.Generator) -> Made:
    """Right to about three digits."""
    found = dict(case.honest)
    for name, array in found.items():
        if array.dtype.kind == "f":
            size = case.X.std() if name == "centroids" else array
            found[name] = np.asarray(array + PERTURBATION * size * rng.normal(size=array.shape))
    return found


def stale(case: Case, rng: np.random.Generator) -> Made:
    """The answer to another job, on data that are much like these."""
    rows = rng.integers(len(case.X), size=len(case.X))
    return case.fit(case.X[rows], None if case.y is None else case.y[rows])


def lying(case: Case, rng: np.random.Generator) -> Made:
    """Numbers from nowhere, in a form that nothing is wrong with: an answer to noise of about the right size."""
    noise = case.X.mean(axis=0) + (case.X.std(axis=0) + 1e-9) * rng.normal(size=case.X.shape)
    return case.fit(noise, None if case.y is None else rng.permutation(case.y))


ANSWERS: dict[str, Callable[[Case, np.random.Generator], Made]] = {
    made.__name__: made for made in (honest, float32, subsample, early_stop, perturbed, stale, lying)
}
