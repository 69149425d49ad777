"""What a fitted model says of new rows, computed here with NumPy alone.

In all functions X is (rows × features), float64.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from computenet_client.errors import Refused

Float = NDArray[np.float64]
BLOCK_CELLS = 4_000_000


def linear(X: Float, coefficients: Float, intercept: Float | float) -> Float:
    """X b + c: (rows,) for coefficients (features,), (rows × fits) for (fits × features)."""
    return np.asarray(X @ coefficients.T + intercept)


def class_scores(X: Float, coefficients: Float, intercept: Float) -> Float:
    """Scores (rows × classes) of a logistic regression; with two classes (rows,), that of the second."""
    scores = linear(X, coefficients, intercept)
    return scores[:, 0] if scores.shape[1] == 1 else scores


def class_probabilities(scores: Float) -> Float:
    """Probabilities (rows × classes) of scores; of more than two classes each against the rest, made to sum to 1."""
    with np.errstate(over="ignore"):
        chance = 1.0 / (1.0 + np.exp(-scores))
    if chance.ndim == 1:
        return np.column_stack([1.0 - chance, chance])
    total = chance.sum(axis=1, keepdims=True)
    none = total == 0.0
    return np.where(none, 1.0 / chance.shape[1], chance / np.where(none, 1.0, total))


def best_class(scores: Float) -> NDArray[np.int64]:
    """The index (rows,) of the class of the highest score."""
    return (scores > 0).astype(np.int64) if scores.ndim == 1 else scores.argmax(axis=1)


def nearest(X: Float, centres: Float) -> NDArray[np.int64]:
    """The index (rows,) of the nearest of the centres (k × features), in blocks of rows."""
    shift = centres.mean(axis=0)  # what all have in common would cost digits
    moved = centres - shift
    norms = np.einsum("ij,ij->i", moved, moved)
    found = np.empty(len(X), dtype=np.int64)
    step = max(1, BLOCK_CELLS // max(len(centres), X.shape[1]))
    for start in range(0, len(X), step):
        rows = slice(start, start + step)
        found[rows] = (norms - 2.0 * ((X[rows] - shift) @ moved.T)).argmin(axis=1)
    return found


def projected(X: Float, mean: Float, components: Float) -> Float:
    """(X - mean) in the directions of components (k × features): (rows × k)."""
    return np.asarray((X - mean) @ components.T)


def features(result: Mapping[str, Any]) -> int:
    """How many columns the model of this result takes."""
    for name in ("centroids", "components", "coefficients"):
        if name in result:
            return int(result[name].shape[-1])
    raise Refused(f"A model {result.get('model')!r} cannot be used here: this client is older than the network.")


def predicted(result: Mapping[str, Any], X: Float) -> dict[str, NDArray[Any]]:
    """Columns by name, one value for each row of X, of a job's result.

    Raises:
        Refused: a model that is not known here, or another number of columns.
    """
    wanted = features(result)
    if X.ndim != 2 or X.shape[1] != wanted:
        raise Refused(f"The model takes {wanted} columns, and the data have {X.shape[-1]}.")
    if "centroids" in result:
        return {"cluster": nearest(X, result["centroids"])}
    if "components" in result:
        moved = projected(X, result["mean"], result["components"])
        return {f"component_{i}": moved[:, i] for i in range(moved.shape[1])}
    if "classes" in result:
        scores = class_scores(X, result["coefficients"], result["intercept"])
        chance = class_probabilities(scores)
        each = {f"probability_{label:g}": chance[:, i] for i, label in enumerate(result["classes"])}
        return {"prediction": result["classes"][best_class(scores)], **each}
    return {"prediction": linear(X, result["coefficients"], result["intercept"])}
