"""The pictures of a result, by its model."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from marketplace.dashboard import charts_kinds as kinds
from marketplace.dashboard.charts import Chart
from marketplace.dashboard.charts_kinds import Words
from marketplace.dashboard.result_data import COUNTED, SEED, Fitted, class_names, spreads

Float = NDArray[np.float64]
BARS = 20
CENTRES_DRAWN = 30
CLASSES_DRAWN = 4


def pictures(fitted: Fitted) -> list[Chart]:
    """What there is to look at; nothing for a model that this page does not know."""
    draw = PICTURES.get(fitted.job.model_type)
    return draw(fitted) if draw else []


def _pairs(x: NDArray, y: NDArray) -> list[tuple[float, float]]:
    keep = np.isfinite(x) & np.isfinite(y)
    return list(zip(x[keep].astype(float).tolist(), y[keep].astype(float).tolist(), strict=True))


def kmeans(fitted: Fitted) -> list[Chart]:
    rows = fitted.sample()
    X, labels = fitted.data(rows), fitted.take("labels", rows)
    centres = np.asarray(fitted.arrays["centroids"][:CENTRES_DRAWN], dtype=np.float64)
    flat, flat_centres, axes, how = plane(X, centres, fitted.features)
    groups = [(f"cluster {i}", _pairs(*flat[labels == i].T)) for i in range(len(fitted.arrays["centroids"]))]
    words = Words(
        "clusters", "The rows and their clusters", f"Each row has the colour and mark of its cluster. {how}", *axes,
        note=fitted.sampled,
    )  # fmt: skip
    sizes = fitted.arrays["cluster_sizes"].tolist()
    order = np.argsort(sizes)[::-1][:BARS].tolist()
    left = f"The {BARS} largest of {len(sizes):,} are drawn." if len(sizes) > BARS else ""
    return [
        kinds.scatter(words, groups, _pairs(*flat_centres.T)),
        kinds.bars(
            Words("sizes", "Cluster sizes", "How many rows are nearest to each centre.", "rows", "cluster", note=left),
            [f"cluster {i}" for i in order],
            [sizes[i] for i in order],
        ),
    ]


def plane(X: Float, centres: Float, names: list[str]) -> tuple[Float, Float, tuple[str, str], str]:
    """`X` (n × d) and `centres` (k × d) in two dimensions, what these are called, and how they came about."""
    n, d = X.shape
    if d == 1:
        heights = np.arange(n, dtype=float)
        middle = np.full(len(centres), n / 2)
        return np.column_stack([X[:, 0], heights]), np.column_stack([centres[:, 0], middle]), (names[0], "row"), ""
    if d == 2:
        return X, centres, (names[0], names[1]), "Numbered circles are the centres."
    mean = X.mean(axis=0)
    unit = float(np.abs(X - mean).max()) or 1.0  # so that no square overflows
    centred = (X - mean) / unit
    values, vectors = np.linalg.eigh(centred @ centred.T)  # of the n drawn rows, however many columns there are
    values, vectors = values[::-1][:2].clip(0.0), vectors[:, ::-1][:, :2]
    lengths = np.sqrt(np.where(values > 0, values, np.inf))
    directions = centred.T @ vectors / lengths
    directions *= np.where(directions[np.abs(directions).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)
    share = 100 * float(values.sum()) / (float((centred**2).sum()) or 1.0)
    how = (
        f"Of {d:,} dimensions, the two are shown along which the drawn rows vary most: {share:.0f} % of their "
        "variance. Numbered circles are the centres."
    )
    return (
        centred @ directions * unit, (centres - mean) @ directions, ("first direction", "second direction"), how
    )  # fmt: skip


def pca(fitted: Fitted) -> list[Chart]:
    shares = np.asarray(fitted.arrays["explained_variance_ratio"], dtype=np.float64)[: 2 * BARS]
    names = [f"PC{i + 1}" for i in range(len(shares))]
    together = np.cumsum(shares)
    scree = kinds.columns(
        Words(
            "scree", "Scree plot", f"The share of the variance that each component explains, and the line of what they "
            f"explain together: {100 * together[-1]:.1f} % with {len(shares)}.", "component", "share of the variance",
        ),
        names, shares.tolist(), together.tolist(),
    )  # fmt: skip
    rows = fitted.sample()
    scores = fitted.take("transformed_data", rows)
    across, up = (scores[:, 0], scores[:, 1]) if scores.shape[1] > 1 else (scores[:, 0], rows.astype(float))
    axes = ("PC1", "PC2" if scores.shape[1] > 1 else "row")
    title = "The rows along the first two components" if scores.shape[1] > 1 else "The rows along the component"
    words = Words("scores", title, "Rows that lie near each other are alike.", *axes, note=fitted.sampled)
    return [scree, kinds.scatter(words, [("rows", _pairs(across, up))]), *(_loadings(fitted, i) for i in (0, 1))][
        : 2 + min(scores.shape[1], 2)
    ]


def _loadings(fitted: Fitted, number: int) -> Chart:
    found = fitted.arrays["components"]
    weights = np.asarray(found[min(number, len(found) - 1)], dtype=np.float64)
    order = _largest(weights)
    words = Words(
        f"loadings-{number + 1}", f"Loadings of PC{number + 1}", "How much of each column is in the component.",
        "loading", "column", note=_left_out(len(weights)),
    )  # fmt: skip
    return kinds.bars(words, [fitted.features[i] for i in order], weights[order].tolist())


def _largest(weights: Float) -> list[int]:
    return np.argsort(-np.abs(weights), kind="stable")[:BARS].tolist()


def _left_out(count: int) -> str:
    return f"The {BARS} largest of {count:,} are drawn." if count > BARS else ""


def regression(fitted: Fitted) -> list[Chart]:
    rows = fitted.sample()
    actual, predicted = fitted.actual(rows), fitted.take("predictions", rows)
    target = fitted.target
    return [
        kinds.against(
            Words(
                "against", "Predicted against actual", "The nearer to the line y = x, the better a row is predicted.",
                f"actual {target}", f"predicted {target}", note=fitted.sampled,
            ),
            _pairs(actual, predicted),
        ),
        kinds.residuals(
            Words(
                "residuals", "Residuals", "What the model leaves over: actual less predicted. Without a pattern, a "
                "straight line is apt.", f"predicted {target}", "residual", note=fitted.sampled,
            ),
            _pairs(predicted, actual - predicted),
        ),
        _weights(fitted, np.asarray(fitted.arrays["coefficients"], dtype=np.float64), "coefficients", "Coefficients"),
    ]  # fmt: skip


def _weights(fitted: Fitted, coefficients: Float, name: str, title: str) -> Chart:
    """Coefficients for one standard deviation of their columns, so that columns in unlike units compare."""
    scale = spreads(fitted.job)
    weights = coefficients * scale
    order = _largest(weights)
    errors = fitted.arrays.get("standard_errors")
    spread = [] if errors is None or not np.isfinite(errors).all() else (np.asarray(errors) * scale)[order].tolist()
    said = "How far the prediction moves when a column moves by one standard deviation."
    if spread:
        said += " Whiskers are ± one standard error."
    words = Words(name, title, said, "per standard deviation", "column", note=_left_out(len(weights)))
    return kinds.bars(words, [fitted.features[i] for i in order], weights[order].tolist(), spread)


def logistic(fitted: Fitted) -> list[Chart]:
    rows = fitted.sample(COUNTED)
    actual, predicted = fitted.actual(rows), fitted.take("predictions", rows)
    classes = np.asarray(fitted.arrays["classes"], dtype=np.float64)
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(counts, (np.searchsorted(classes, actual), np.searchsorted(classes, predicted)), 1)
    names = fitted.class_names
    left = f"{COUNTED:,} of {fitted.rows:,} rows are counted, chosen at random with seed {SEED}."
    words = Words(
        "confusion", "What was predicted for which class", "Rows are the actual classes, columns the predicted ones; "
        "right answers lie on the diagonal.", "predicted", "actual", note=left if fitted.rows > COUNTED else "",
    )  # fmt: skip
    weights = np.asarray(fitted.arrays["coefficients"], dtype=np.float64)
    heads = class_names(fitted)
    bars = [
        _weights(fitted, weights[i], f"coefficients-{i + 1}", f"Coefficients for {heads[i]}")
        for i in range(min(len(weights), CLASSES_DRAWN))
    ]
    return [kinds.grid(words, names, counts.tolist()), *bars]


PICTURES: dict[str, Callable[[Fitted], list[Chart]]] = {
    "kmeans_clustering": kmeans,
    "pca_analysis": pca,
    "linear_regression": regression,
    "ridge_regression": regression,
    "logistic_regression": logistic,
}
