"""Data sets for the catalogue's tests: scikit-learn's own, and synthetic ones that are hard on purpose."""

import os
from collections.abc import Callable

import array_api_compat.numpy as numpy_namespace
import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine

from workers.catalog.backend import NUMPY, Backend
from workers.catalog.base import CatalogModel, no_progress

TRIALS = int(os.environ.get("COMPUTENET_TRIALS", "150"))  # cheating trials a model; 10000 for the long run

# The path that a GPU takes (blocks held, products in float32), on the CPU.
FLOAT32 = Backend("simulated", numpy_namespace, "cpu", "float32")

Data = tuple[np.ndarray, np.ndarray]
Generator = np.random.Generator


def _with_target(X: np.ndarray, rng: Generator) -> Data:
    Z = (X - X.mean(axis=0)) / np.where(X.std(axis=0) > 0, X.std(axis=0), 1.0)
    return X, Z @ rng.normal(size=X.shape[1]) + rng.normal(size=len(X))


def collinear(rng: Generator) -> Data:
    X = rng.normal(size=(1500, 6))
    X[:, 5] = X[:, 4] + 1e-3 * rng.normal(size=1500)
    return _with_target(X, rng)


def scales(rng: Generator) -> Data:
    return _with_target(rng.normal(size=(1500, 8)) * 10.0 ** np.linspace(-6, 6, 8), rng)


def large_mean(rng: Generator) -> Data:
    return _with_target(rng.normal(size=(1500, 6)) + 1e3, rng)


def duplicates(rng: Generator) -> Data:
    return _with_target(np.repeat(rng.normal(size=(150, 5)), 10, axis=0), rng)


def heavy_tails(rng: Generator) -> Data:
    return _with_target(rng.standard_t(2, size=(2000, 6)), rng)


def rank_deficient(rng: Generator) -> Data:
    return _with_target(rng.normal(size=(800, 4)) @ rng.normal(size=(4, 9)), rng)


def wide(rng: Generator) -> Data:
    return _with_target(rng.normal(size=(40, 90)), rng)


def constant_column(rng: Generator) -> Data:
    X = rng.normal(size=(900, 5))
    X[:, 2] = 7.0
    return _with_target(X, rng)


def sparse(rng: Generator) -> Data:
    return _with_target((rng.random(size=(2500, 6)) < 0.003) * rng.normal(size=(2500, 6)), rng)


SYNTHETIC: dict[str, Callable[[Generator], Data]] = {
    "collinear": collinear,
    "scales": scales,
    "large mean": large_mean,
    "duplicates": duplicates,
    "heavy tails": heavy_tails,
    "rank deficient": rank_deficient,
    "wide": wide,
    "constant column": constant_column,
    "sparse": sparse,
}
REAL: dict[str, Callable[..., Data]] = {
    "diabetes": lambda: load_diabetes(return_X_y=True),
    "iris": lambda: load_iris(return_X_y=True),
    "wine": lambda: load_wine(return_X_y=True),
    "digits": lambda: load_digits(return_X_y=True),
    "breast cancer": lambda: load_breast_cancer(return_X_y=True),
}
NAMES = [*REAL, *SYNTHETIC]


def make(name: str, seed: int = 0) -> Data:
    X, y = REAL[name]() if name in REAL else SYNTHETIC[name](np.random.default_rng(seed))
    return np.ascontiguousarray(X, dtype=np.float64), np.ascontiguousarray(y, dtype=np.float64)


def fitted(model: CatalogModel, X: np.ndarray, y: np.ndarray | None, backend: Backend = NUMPY, seed=3, **given):
    """The parameters, cleaned, and the answer."""
    params = model.clean(given)
    model.validate(params, *X.shape)
    return params, model.fit(X, y, params, seed, backend=backend, progress=no_progress)
