"""The demo's three jobs: real data that ships with scikit-learn, and scikit-learn's own answer to compare with."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression

Result = dict[str, Any]
RELATIVE_TOLERANCE = 1e-6
INERTIA_TOLERANCE = 1.02  # k-means finds a local optimum; within 2 % of the best of ten starts is as good


@dataclass(frozen=True)
class Line:
    """One line of a comparison, and whether it holds."""

    what: str
    network: str
    scikit_learn: str
    verdict: str
    ok: bool


class DemoJob(Protocol):
    """What a client brings (a file and a request), and how its answer is judged."""

    client: str
    title: str
    model_type: str
    reward: float
    file_name: str

    def content(self) -> bytes: ...

    def request(self) -> dict[str, Any]:
        """What goes into the submission beside client, model, reward and dataset."""

    def compare(self, result: Result) -> list[Line]: ...


def as_csv(names: Sequence[str], columns: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(names)
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue().encode()


def relative_difference(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    """The largest difference, relative to the largest number of `theirs`; infinite where the shapes differ."""
    if ours.shape != theirs.shape:
        return float("inf")
    return float(np.max(np.abs(ours - theirs)) / np.max(np.abs(theirs)))


def agreement(what: str, ours: float, theirs: float, difference: float) -> Line:
    return Line(what, f"{ours:,.6g}", f"{theirs:,.6g}", in_words(difference), difference <= RELATIVE_TOLERANCE)


def in_words(difference: float) -> str:
    return f"differ by {difference:.0e} of it" if difference else "the same to the last bit"


class Diabetes:
    """Linear regression; the file names its target, which is not its last column."""

    client, title, model_type, reward = "alice", "How does diabetes progress?", "linear_regression", 50.0
    file_name = "diabetes.csv"

    def __init__(self) -> None:
        bunch = load_diabetes()
        self.names: list[str] = list(bunch.feature_names)
        self.X: NDArray[np.float64] = bunch.data
        self.y: NDArray[np.float64] = bunch.target

    def content(self) -> bytes:
        return as_csv(["progression", *self.names], [self.y.tolist(), *self.X.T.tolist()])

    def request(self) -> dict[str, Any]:
        return {"target": "progression"}

    def compare(self, result: Result) -> list[Line]:
        oracle = LinearRegression().fit(self.X, self.y)
        ours = np.array(result["coefficients"], dtype=np.float64)
        mse = float(np.mean((oracle.predict(self.X) - self.y) ** 2))
        difference = relative_difference(ours, oracle.coef_)
        strongest = int(np.argmax(np.abs(oracle.coef_)))
        return [
            agreement(f"{len(ours)} coefficients, e.g. {self.names[strongest]}", ours[strongest],
                      oracle.coef_[strongest], difference),
            agreement("intercept", result["intercept"], oracle.intercept_,
                      abs(result["intercept"] / oracle.intercept_ - 1)),
            agreement("mean squared error", result["mse"], mse, abs(result["mse"] / mse - 1)),
        ]  # fmt: skip


class Iris:
    """k-means; the file has a column of text, so the request says which columns to use."""

    client, title, model_type, reward = "bob", "Which irises belong together?", "kmeans_clustering", 40.0
    file_name = "iris.csv"

    def __init__(self) -> None:
        bunch = load_iris()
        self.names: list[str] = list(bunch.feature_names)
        self.X: NDArray[np.float64] = bunch.data
        self.species: list[str] = [str(bunch.target_names[code]) for code in bunch.target]

    def content(self) -> bytes:
        return as_csv([*self.names, "species"], [*self.X.T.tolist(), self.species])

    def request(self) -> dict[str, Any]:
        return {"columns": self.names, "params": {"k": 3}}

    def compare(self, result: Result) -> list[Line]:
        oracle = KMeans(n_clusters=3, n_init=10, random_state=0).fit(self.X)
        ratio = result["inertia"] / oracle.inertia_
        sizes = sorted(np.bincount(result["labels"]).tolist())
        oracle_sizes = sorted(np.bincount(oracle.labels_).tolist())
        nearest = np.argmin(np.linalg.norm(self.X[:, None] - np.array(result["centroids"])[None], axis=2), axis=1)
        return [
            Line("inertia", f"{result['inertia']:,.6g}", f"{oracle.inertia_:,.6g}",
                 f"{ratio:.4f} times (at most {INERTIA_TOLERANCE})", ratio <= INERTIA_TOLERANCE),
            Line("sizes of the 3 clusters", str(sizes), str(oracle_sizes), "add up to 150", sum(sizes) == 150),
            Line("labels", "150 flowers", "150 flowers", "each in its nearest cluster",
                 np.array_equal(nearest, result["labels"])),
        ]  # fmt: skip


class Digits:
    """PCA of a NumPy array: 1,797 images of 8 × 8 pixels."""

    client, title, model_type, reward = "carol", "What are handwritten digits made of?", "pca_analysis", 60.0
    file_name = "digits.npy"
    components = 5

    def __init__(self) -> None:
        self.X: NDArray[np.float64] = load_digits().data

    def content(self) -> bytes:
        file = io.BytesIO()
        np.save(file, self.X, allow_pickle=False)
        return file.getvalue()

    def request(self) -> dict[str, Any]:
        return {"params": {"n_components": self.components}}

    def compare(self, result: Result) -> list[Line]:
        oracle = PCA(n_components=self.components, svd_solver="full").fit(self.X)
        variance = np.array(result["explained_variance"], dtype=np.float64)
        components = np.array(result["components"], dtype=np.float64)
        if components.shape == oracle.components_.shape:  # a component's sign is nobody's choice
            components = components * np.sign(np.sum(components * oracle.components_, axis=1, keepdims=True))
        difference = relative_difference(components, oracle.components_)
        lines = [
            agreement(f"variance along component {i + 1}", variance[i], oracle.explained_variance_[i],
                      relative_difference(variance[i : i + 1], oracle.explained_variance_[i : i + 1]))
            for i in range(2)
        ]  # fmt: skip
        shape = f"{self.components} × {self.X.shape[1]}"
        line = Line("components, up to sign", shape, shape, in_words(difference),
                    difference <= RELATIVE_TOLERANCE)  # fmt: skip
        return [*lines, line]
