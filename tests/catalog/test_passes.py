"""A check costs what reading X costs, so a large job's is read once; sums about a shift are as good as centred ones."""

import numpy as np
import pytest

from tests.catalog.data import fitted
from workers.catalog import MODELS
from workers.catalog.shifted import find_shift


class Counted:
    """X as a check may read it, by slices of rows and by rows; counts the cells. Nothing reads it as a whole."""

    def __init__(self, X: np.ndarray) -> None:
        self._X, self.read = X, 0
        self.shape, self.ndim, self.dtype, self.size, self.strides = X.shape, X.ndim, X.dtype, X.size, X.strides

    def __len__(self) -> int:
        return len(self._X)

    def __getitem__(self, key) -> np.ndarray:
        part = self._X[key]
        self.read += part.size
        return part

    def __array__(self, *given, **named):
        raise AssertionError("X was read as a whole")


def data(mean: float, rows: int, features: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, features)) + mean
    return X, X @ rng.normal(size=features) + rng.normal(size=rows)


@pytest.mark.parametrize("mean", [1.0, 1e6], ids=["near zero", "far from zero"])
@pytest.mark.parametrize(
    ("name", "rows", "features", "given"),
    [
        ("linear_regression", 20_000, 8, {}),
        ("ridge_regression", 20_000, 8, {}),
        ("pca_analysis", 10_000, 20, {}),
        ("kmeans_clustering", 120_000, 3, {"k": 4}),
    ],
)
def test_large_job_is_checked_in_one_pass_over_the_data(name, rows, features, given, mean):
    X, y = data(mean, rows, features)
    model = MODELS[name]
    target = y if model.needs_target else None
    params, answer = fitted(model, X, target, **given)
    counted = Counted(X)
    found = model.check(counted, target, params, 3, answer, rng=np.random.default_rng(0))
    assert found.verdict == "accepted", found
    assert X.size <= counted.read <= 1.1 * X.size  # a pass, and a few rows of samples


@pytest.mark.parametrize("mean", [0.0, 15.0, 17.0, -17.0, 1e13])
def test_sums_about_the_shift_keep_their_digits(mean):
    rng = np.random.default_rng(0)
    X = np.round(rng.normal(size=(5000, 3)) * 64) / 64 + mean
    shift = find_shift(X)
    assert shift.row.any() == (abs(mean) > 16)
    total, squares = np.zeros(3), np.zeros(3)
    for _, block in shift.blocks(X):
        total += block.sum(axis=0)
        squares += (block**2).sum(axis=0)
    offset = total / len(X)
    exact = np.array([[float(v) for v in column] for column in (X - mean).T])  # exact: multiples of 1/64
    spread = ((exact - exact.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    np.testing.assert_allclose(squares - len(X) * offset**2, spread, rtol=1e-12)


def test_blocks_cover_every_row_once_and_leave_x_as_it_was():
    X = np.random.default_rng(0).normal(size=(700, 1000)) + 1e5
    before, shift = X.copy(), find_shift(X)
    covered = []
    for rows, block in shift.blocks(X):
        np.testing.assert_array_equal(block, X[rows] - shift.row)
        covered.extend(range(rows.start, rows.stop))
    assert covered == list(range(700))
    np.testing.assert_array_equal(X, before)
