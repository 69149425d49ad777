"""Columns whose spread is far below their mean, or whose squares underflow, against exact rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest

from tests.catalog.data import fitted
from workers.catalog import MODELS
from workers.catalog.base import DataError

STEPS = np.arange(20.0)
COLUMNS = {
    "mean 1e13, step 1": 1e13 + STEPS,
    "mean 1e14, step 1": 1e14 + STEPS,
    "mean 1.7e15, step 1": 1.7e15 + STEPS,
    "mean 1.7e18, step 1e5": 1.7e18 + 1e5 * STEPS,
    "mean -1.7e18, step 1e5": -1.7e18 - 1e5 * STEPS,
    "mean 1e3, step 1e-10": 1e3 + 1e-10 * STEPS,
    "two neighbouring numbers": np.where(STEPS < 10, 0.3, 0.1 + 0.2),
    "1e-200": 1e-200 * STEPS,
    "1e-300": 1e-300 * STEPS,
}
LINEAR, RIDGE = MODELS["linear_regression"], MODELS["ridge_regression"]


def target() -> np.ndarray:
    return 3.0 * STEPS + np.random.default_rng(0).normal(size=20)


def centred_products(x: np.ndarray, y: np.ndarray) -> tuple[Fraction, Fraction]:
    """Σ(x − x̄)(y − ȳ) and Σ(x − x̄)², exactly."""
    a, b = [Fraction(float(v)) for v in x], [Fraction(float(v)) for v in y]
    x_mean, y_mean = sum(a) / len(a), sum(b) / len(b)
    cross = sum(((p - x_mean) * (q - y_mean) for p, q in zip(a, b, strict=True)), Fraction(0))
    return cross, sum(((p - x_mean) ** 2 for p in a), Fraction(0))


def relative_error(found: float, exact: Fraction) -> float:
    return float(abs(Fraction(float(found)) - exact) / abs(exact))


def verdict(model, X, y, params, answer) -> str:
    return model.check(X, y, params, 3, answer, rng=np.random.default_rng(0)).verdict


def zero(y: np.ndarray, features: int = 1) -> dict[str, np.ndarray]:
    return {"coefficients": np.zeros(features), "intercept": np.asarray(y.mean())}


@pytest.mark.parametrize("name", COLUMNS)
def test_linear_coefficient_is_the_exact_one_and_a_zero_is_rejected(name):
    x, y = COLUMNS[name], target()
    X = x[:, None]
    cross, square = centred_products(x, y)
    params, answer = fitted(LINEAR, X, y)
    assert relative_error(answer["coefficients"][0], cross / square) <= 1e-6
    assert verdict(LINEAR, X, y, params, answer) == "accepted"
    assert verdict(LINEAR, X, y, params, zero(y)) == "rejected"


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("share", [0.0, 0.5, None], ids=["no penalty", "half the squares", "alpha 1"])
def test_ridge_coefficient_is_the_exact_one_and_a_zero_is_rejected(name, share):
    x, y = COLUMNS[name], target()
    X = x[:, None]
    cross, square = centred_products(x, y)
    alpha = 1.0 if share is None else min(share * float(square), 1e12)
    params, answer = fitted(RIDGE, X, y, alpha=alpha)
    assert relative_error(answer["coefficients"][0], cross / (square + Fraction(alpha))) <= 1e-6
    assert verdict(RIDGE, X, y, params, answer) == "accepted"
    if alpha <= square:  # a penalty far above the squares leaves a coefficient that is zero within the tolerance
        assert verdict(RIDGE, X, y, params, zero(y)) == "rejected"


@pytest.mark.parametrize("name", COLUMNS)
def test_result_predicts_from_the_centred_column(name):
    x, y = COLUMNS[name], target()
    params, answer = fitted(LINEAR, x[:, None], y)
    cross, square = centred_products(x, y)
    _, total = centred_products(y, y)
    result = LINEAR.present(x[:, None], y, params, answer)
    assert result["r2"] == pytest.approx(float(cross**2 / square / total), rel=1e-9)
    assert result["mse"] == pytest.approx(float((total - cross**2 / square) / 20), rel=1e-9)
    np.testing.assert_allclose(np.mean((result["predictions"] - y) ** 2), result["mse"], rtol=1e-9)


def test_extreme_column_beside_an_ordinary_one_is_fitted_exactly():
    x, other = COLUMNS["mean 1e13, step 1"], np.random.default_rng(1).normal(size=20)
    y = target() + other
    X = np.column_stack([x, other])
    params, answer = fitted(LINEAR, X, y)
    (xy, xx), (oy, oo), (xo, _) = centred_products(x, y), centred_products(other, y), centred_products(x, other)
    # Cramer's rule.
    determinant = xx * oo - xo * xo
    exact = [(xy * oo - oy * xo) / determinant, (oy * xx - xy * xo) / determinant]
    for found, wanted in zip(answer["coefficients"], exact, strict=True):
        assert relative_error(found, wanted) <= 1e-6
    without = {"coefficients": answer["coefficients"] * [0, 1], "intercept": answer["intercept"]}
    assert verdict(LINEAR, X, y, params, without) == "rejected"


@pytest.mark.parametrize("name", ["mean 1e13, step 1", "1e-200"])
def test_many_rows_settled_by_samples_or_not_reject_a_zero(name):
    x, y = np.tile(COLUMNS[name], 100), np.tile(target(), 100)
    params, answer = fitted(LINEAR, x[:, None], y)
    cross, square = centred_products(x, y)
    assert relative_error(answer["coefficients"][0], cross / square) <= 1e-6
    assert verdict(LINEAR, x[:, None], y, params, answer) == "accepted"
    assert verdict(LINEAR, x[:, None], y, params, zero(y)) == "rejected"


def test_column_of_equal_values_has_coefficient_zero_whatever_its_mean_rounds_to():
    X = np.column_stack([np.full(20, 0.1), STEPS])
    params, answer = fitted(LINEAR, X, target())
    assert answer["coefficients"][0] == 0.0
    assert verdict(LINEAR, X, target(), params, answer) == "accepted"


@pytest.mark.parametrize(
    ("x", "y"), [(1e-310 * STEPS, 1e-3 * target()), (STEPS, 1e-200 * target())], ids=["column", "target"]
)
def test_what_float64_cannot_fit_is_refused_and_a_zero_is_not_accepted(x, y):
    with pytest.raises(DataError):
        fitted(LINEAR, x[:, None], y)
    found = LINEAR.check(x[:, None], y, {}, 3, zero(y), rng=np.random.default_rng(0))
    assert (found.verdict, found.fault) == ("inconclusive", "job")


@pytest.mark.parametrize("name", COLUMNS)
def test_logistic_answer_of_zero_is_not_accepted_where_the_column_tells_the_classes(name):
    """With C = 1 the coefficient is below C Σ|x − x̄|, so a column of tiny spread has one that is zero in effect."""
    model, x = MODELS["logistic_regression"], COLUMNS[name]
    y = (STEPS + np.random.default_rng(0).normal(size=20) > 9).astype(float)
    nothing = {"coefficients": np.zeros((1, 1)), "intercept": np.array([np.log(y.sum() / (20 - y.sum()))])}
    accepted = verdict(model, x[:, None], y, model.clean({}), nothing) == "accepted"
    assert accepted == (np.ptp(x) < 1e-3)
