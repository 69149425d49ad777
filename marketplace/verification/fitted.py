"""A fitted model at work on the trusted side: results in the table's own units, predictions, a score of held-out rows.

`layout` is how the matrix came out of its table. X is (rows × features); where it is standardised, that is said.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from marketplace.tables.recipes import Layout, fitted_rows, level_name
from marketplace.tables.rows import Stored
from marketplace.verification.check import Finding
from workers.catalog import logistic
from workers.catalog.backend import NUMPY
from workers.catalog.lloyd import Nearest

Float = NDArray[np.float64]
Arrays = Mapping[str, NDArray]
Scalars = Mapping[str, int | float | str | None]


def finish(finding: Finding, layout: Layout, table: Stored) -> Finding:
    """An accepted finding on a recipe's matrix: in the table's own units, and with a score of the rows kept out.

    Coefficients, their standard errors, intercepts and centres are put back. Components stay directions of the
    standardised columns, and come with `scale`, what each column was divided by.
    """
    scores = _score(finding, layout, table) if layout.recipe.holdout else {}
    arrays, scalars = _put_back(finding.arrays, finding.scalars, *layout.scaling())
    return replace(finding, arrays=arrays, scalars={**scalars, **scores})


def _put_back(arrays: Arrays, scalars: Scalars, shift: Float, scale: Float) -> tuple[dict[str, NDArray], dict]:
    found, single = dict(arrays), dict(scalars)
    if "components" in found:
        return found | {"mean": shift + scale * found["mean"], "scale": scale}, single
    if "centroids" in found:
        return found | {"centroids": shift + scale * found["centroids"]}, single
    if "coefficients" not in found:
        return found, single
    coefficients = found["coefficients"] = found["coefficients"] / scale
    if "standard_errors" in found:
        found["standard_errors"] = found["standard_errors"] / scale
    if "intercept" in found:
        found["intercept"] = found["intercept"] - coefficients @ shift
    else:
        intercept = single["intercept"]
        assert isinstance(intercept, float)
        single["intercept"] = intercept - float(coefficients @ shift)
        if "intercept_standard_error" in single and shift.any():  # it is of another point of the columns now
            single["intercept_standard_error"] = None
    return found, single


def told(layout: Layout, arrays: Arrays, scalars: Scalars, X: Float) -> dict[str, NDArray]:
    """What a result in the table's own units says of X as `Layout.encode` made it."""
    shift, scale = layout.scaling()
    if "centroids" in arrays:  # which centre is nearest depends on the units: they are those of the fit
        return predict({"centroids": (arrays["centroids"] - shift) / scale}, {}, X, None)
    return predict(arrays, scalars, shift + scale * X, layout.classes)


def predict(arrays: Arrays, scalars: Scalars, X: Float, classes: list[str] | None) -> dict[str, NDArray]:
    """Columns by name, one value for each row of X, of a result and X that are in the same units.

    `classes` are what the numbers of a target of texts stand for.
    """
    if "centroids" in arrays:
        centroids = np.asarray(arrays["centroids"], dtype=np.float64)
        return {"cluster": Nearest(NUMPY, X, centroids.mean(axis=0))(centroids).astype(np.int64)}
    if "components" in arrays:
        moved = (X - arrays["mean"]) / arrays.get("scale", 1.0) @ arrays["components"].T
        return {f"component_{i}": moved[:, i] for i in range(moved.shape[1])}
    if "classes" not in arrays:
        return {"prediction": X @ arrays["coefficients"] + scalars["intercept"]}
    z = X @ arrays["coefficients"].T + arrays["intercept"]
    chance, best = logistic.sigmoid(z), z.argmax(axis=1)
    if len(arrays["classes"]) == 2:
        chance, best = np.column_stack([1.0 - chance[:, 0], chance[:, 0]]), (z[:, 0] > 0).astype(np.int64)
    else:
        chance = chance / np.maximum(chance.sum(axis=1, keepdims=True), 1e-300)
    names = class_names(arrays, classes)
    found = arrays["classes"][best] if classes is None else np.array(names, dtype=object)[best]
    return {"prediction": found, **{f"probability_{name}": chance[:, i] for i, name in enumerate(names)}}


def class_names(arrays: Arrays, classes: list[str] | None) -> list[str]:
    """The classes of a logistic regression by name, in its order."""
    values = arrays["classes"].tolist()
    return [level_name(value) for value in values] if classes is None else [classes[int(value)] for value in values]


def _score(finding: Finding, layout: Layout, table: Stored) -> dict[str, int | float | str | None]:
    """How well the rows that were kept out are told, in the matrix's units."""
    arrays, rows, squares, total, right = finding.arrays, 0, 0.0, 0.0, 0
    mean, spread = 0.0, 0.0
    for X, y in fitted_rows(layout, table, held_out=True):
        if not len(X):
            continue
        if "centroids" in arrays:
            labels = predict(arrays, finding.scalars, X, None)["cluster"]
            squares += float(((X - arrays["centroids"][labels]) ** 2).sum())
        elif "components" in arrays:
            centred = X - arrays["mean"]
            total += float((centred**2).sum())
            squares += float(((centred @ arrays["components"].T) ** 2).sum())
        elif "classes" in arrays:
            right += int((predict(arrays, finding.scalars, X, None)["prediction"] == y).sum())
        elif y is not None:
            squares += float(((y - predict(arrays, finding.scalars, X, None)["prediction"]) ** 2).sum())
            before, block = mean, float(y.mean())
            mean += (block - before) * len(y) / (rows + len(y))
            spread += float(((y - block) ** 2).sum()) + (block - before) ** 2 * rows * len(y) / (rows + len(y))
        rows += len(X)
    if "centroids" in arrays:
        return {"holdout_rows": rows, "holdout_inertia": squares}
    if "components" in arrays:
        return {"holdout_rows": rows, "holdout_explained_variance_ratio": squares / total if total > 0 else None}
    if "classes" in arrays:
        return {"holdout_rows": rows, "holdout_accuracy": right / rows}
    r2 = 1.0 - squares / spread if spread > 0 else None
    return {"holdout_rows": rows, "holdout_rmse": (squares / rows) ** 0.5, "holdout_r2": r2}
