"""The exact run in memory that the network's answers on a big table are held against, a process of its own.

    python -m benchmarks.big_table_exact ANSWERS.json TABLE.csv TABLE.parquet

pandas reads the table, scikit-learn's transformers make the matrix, whole and in float64, and LAPACK or scikit-learn
fit it: least squares by a singular value decomposition, ridge by its normal equations, logistic regression by Newton's
method until nothing moves, components as eigenvectors of the covariance. Prints a list of `Line`s as JSON.

What is tolerated: both sides compute in float64 but in another order, and means that stand in for gaps differ in their
last digits. In the units used here (numbers over their deviation) that moves answers by about 1e-12; 1e-8 is allowed,
far below a thousandth of a standard error. The optimum of a logistic regression is flat: 1e-6. K-means on the same
numbers is the same computation: labels must be equal, and centres but for the last digits.
"""

import json
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.lines import Line
from workers.catalog import MODELS
from workers.catalog.backend import NUMPY
from workers.catalog.base import no_progress

Float = NDArray[np.float64]
Asked = Mapping[str, Any]  # one of the answers, with what was asked for
Held = Iterator[tuple[str, float, float, str]]  # what, measured, allowed, unit
CLOSE, FLAT, SAME = 1e-8, 1e-6, 1e-12
TEXTS = ("town", "kind", "sold")
MISSING = "(missing)"


def read(csv: str, parquet: str) -> tuple[pd.DataFrame, int]:
    """The table, and in how many columns the two files differ."""
    kinds = dict.fromkeys(TEXTS, "category")
    with warnings.catch_warnings():  # of versions in which no other precision is left
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        frame = pd.read_csv(csv, float_precision="round_trip", keep_default_na=False, na_values=[""], dtype=kinds)
    differ = 0
    for name in frame:
        same = pyarrow.parquet.read_table(parquet, columns=[name])[name].to_pandas()
        kind = object if name in TEXTS else np.float64
        differ += not frame[name].astype(kind).equals(same.astype(kind))
    return frame, differ


class Matrix:
    """What the transformers make of a table: `X` (rows × features) and `y`; numbers of X were (x − shift) / scale."""

    def __init__(self, frame: pd.DataFrame, asked: Asked) -> None:
        columns, target, self.recipe = asked["columns"], asked["target"], asked["recipe"]
        used = frame[[*columns, *([target] if target else [])]]
        used = used.dropna() if self.recipe["missing"] == "drop" else used.dropna(subset=[target] if target else [])
        self.names: list[str] = []
        self.X = np.empty((len(used), len(asked["result"]["features"])))
        self.shift, self.scale = np.zeros(self.X.shape[1]), np.ones(self.X.shape[1])
        for column in columns:
            at = len(self.names)
            if column in TEXTS:
                names, values = self._category(used[[column]], drop="first" if target else None)
            else:
                names, values = [column], self._number(used[[column]].to_numpy(np.float64), at)
            self.names += names
            self.X[:, at : len(self.names)] = values
        self.y: Any = None if target is None else used[target].astype(object if target in TEXTS else float).to_numpy()
        self.mean, self.spread = self.X.mean(axis=0), self.X.std(axis=0)

    def _category(self, used: pd.DataFrame, drop: str | None) -> tuple[list[str], Float]:
        texts = used.astype(object)
        texts = texts.where(texts.notna(), MISSING)
        found = set(texts.iloc[:, 0])
        levels = sorted(found - {MISSING}) + [MISSING] * (MISSING in found)
        values = OneHotEncoder(categories=[levels], drop=drop, sparse_output=False).fit_transform(texts)
        return [f"{used.columns[0]}={level}" for level in levels[1 if drop else 0 :]], values

    def _number(self, values: Float, at: int) -> Float:
        if self.recipe["missing"] == "mean":
            values = SimpleImputer().fit_transform(values)
        if self.recipe.get("standardise"):
            scaler = StandardScaler().fit(values)
            values = scaler.transform(values)
            self.shift[at], self.scale[at] = scaler.mean_[0], scaler.scale_[0]
        return values


def regression(matrix: Matrix, asked: Asked) -> Callable[[Any, Any], Held]:
    X, y = matrix.X, matrix.y
    level, unit = y.mean(), y.std()
    if asked["model"] == "ridge_regression":
        b = Ridge(alpha=asked["params"]["alpha"], solver="cholesky").fit(X, y).coef_
    else:
        b = np.linalg.lstsq(X - matrix.mean, y - level, rcond=None)[0]
    told = X @ b + (level - matrix.mean @ b)
    slopes = b / matrix.scale
    intercept = level - matrix.mean @ b - slopes @ matrix.shift
    r2 = 1.0 - float(((y - told) ** 2).mean()) / unit**2

    def held(found: Any, result: Any) -> Held:
        apart = np.abs(found["coefficients"] - slopes) * matrix.scale * matrix.spread / unit
        yield "coefficients", apart.max(), CLOSE, "deviations of y for one of x"
        yield "intercept", abs(result["intercept"] - intercept) / unit, CLOSE, "deviations of y"
        yield "predictions", np.abs(found["predictions"] - told).max() / unit, CLOSE, "deviations of y"
        yield "R²", abs(result["r2"] - r2), CLOSE, f"(of {r2:.6f})"

    return held


def logistic(matrix: Matrix, asked: Asked) -> Callable[[Any, Any], Held]:
    exact = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-10, max_iter=200).fit(matrix.X, matrix.y)
    chance, slopes = exact.predict_proba(matrix.X), exact.coef_ / matrix.scale
    intercept = exact.intercept_ - slopes @ matrix.shift

    def held(found: Any, result: Any) -> Held:
        apart = np.abs(found["coefficients"] - slopes) * matrix.scale * matrix.spread
        yield "coefficients", apart.max(), FLAT, "logits for a deviation of x"
        yield "intercept", np.abs(found["intercept"] - intercept).max(), FLAT, "logits"
        yield "probabilities", np.abs(found["probabilities"] - chance).max(), FLAT, ""

    return held


def clusters(matrix: Matrix, asked: Asked) -> Callable[[Any, Any], Held]:
    X, model = matrix.X, MODELS["kmeans_clustering"]
    params = model.clean(asked["params"])

    def held(found: Any, result: Any) -> Held:
        own = model.fit(X, None, params, asked["seed"], backend=NUMPY, progress=no_progress)
        unit, centres, labels = float(np.sqrt((matrix.spread**2).sum())), found["centroids"], found["labels"]
        yield "centres", np.abs(centres - own["centroids"][-1]).max() / unit, SAME, "deviations, from its own fit's"
        presented = model.present(X, None, params, own)
        yield "labels that differ from its own fit's", int((labels != presented["labels"]).sum()), 0, "rows"
        means = np.array([X[labels == i].mean(axis=0) for i in range(len(centres))])
        moved, still = float(((means - centres) ** 2).sum()), params["tol"] * float((matrix.spread**2).mean())
        yield "centres from the means of their rows", moved, still, "(squared) where a fit may stop"
        first = own["centroids"][0]
        theirs = KMeans(len(centres), init=first, n_init=1, tol=params["tol"], max_iter=params["max_iter"]).fit(X)
        worse = result["inertia"] / theirs.inertia_ - 1.0
        yield "inertia above scikit-learn's from the same start", worse, FLAT, "of it"

    return held


def components(matrix: Matrix, asked: Asked) -> Callable[[Any, Any], Held]:
    kept = asked["params"]["n_components"]
    centred = matrix.X - matrix.mean
    values, vectors = np.linalg.eigh(centred.T @ centred / (len(centred) - 1))
    values, vectors = values[::-1], vectors[:, ::-1].T[:kept]
    unit = values[0] ** 0.5

    def held(found: Any, result: Any) -> Held:
        signs = np.sign((found["components"] * vectors).sum(axis=1))[:, None]
        yield "components", np.abs(found["components"] - signs * vectors).max(), CLOSE, "(unit vectors)"
        apart = np.abs(found["explained_variance"] / values[:kept] - 1.0).max()
        yield "explained variance", apart, CLOSE, "of it"
        apart = np.abs(found["transformed_data"] - centred @ (signs * vectors).T).max() / unit
        yield "transformed data", apart, CLOSE, "deviations of the first"

    return held


EXACT: dict[str, Callable[[Matrix, Asked], Callable[[Any, Any], Held]]] = {
    "linear_regression": regression,
    "ridge_regression": regression,
    "logistic_regression": logistic,
    "kmeans_clustering": clusters,
    "pca_analysis": components,
}


def lines(answers: list[dict[str, Any]], csv: str, parquet: str) -> Iterator[Line]:
    frame, differ = read(csv, parquet)
    yield Line("columns in which CSV and Parquet differ", differ, 0)
    for name, some in groupby(sorted(answers, key=lambda each: each["model"]), key=lambda each: each["model"]):
        hold = None
        for asked in some:
            if hold is None or name == "kmeans_clustering":  # which has a seed of its own in each job
                matrix = Matrix(frame, asked)
                hold = EXACT[name](matrix, asked)
                print(f"          {name}: exact", file=sys.stderr, flush=True)
            others = sum(a != b for a, b in zip(matrix.names, asked["result"]["features"], strict=True))
            yield Line(f"{asked['name']}, features that have other names", others, 0)
            with np.load(asked["archive"], allow_pickle=False) as found:
                for what, measured, allowed, unit in hold(found, asked["result"]):
                    yield Line(f"{asked['name']}, {what}", float(measured), float(allowed), unit)


def main() -> None:
    answers, csv, parquet = sys.argv[1:]
    with open(answers, encoding="utf-8") as file:
        found = list(lines(json.load(file), csv, parquet))
    print(json.dumps([asdict(line) for line in found]))


if __name__ == "__main__":
    main()
