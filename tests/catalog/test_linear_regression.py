"""Linear regression against scikit-learn and an exact solution, and against workers that cheat."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression
from sklearn.linear_model import Ridge as SklearnRidge

from tests.catalog.data import FLOAT32, NAMES, TRIALS, fitted, make
from workers.catalog import MODELS, least_squares, least_squares_check
from workers.catalog.base import headers

MODEL = MODELS["linear_regression"]


def standardised_optimum(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The least-norm solution in standardised columns, by a singular value decomposition (not by normal equations)."""
    Xc = X - X.mean(axis=0)
    scale = Xc.std(axis=0)
    scale[scale <= 1e-12 * np.abs(X.mean(axis=0))] = np.inf
    return np.linalg.lstsq(Xc / scale, y - y.mean(), rcond=1e-6)[0] / scale


def excess_over_tolerance(X: np.ndarray, y: np.ndarray, b: np.ndarray, best: np.ndarray) -> float:
    """SSE(b) - SSE(best) = ‖Xc(b - best)‖², over what the certificate tolerates."""
    with np.errstate(all="ignore"):
        Xc = X - X.mean(axis=0)
        residual = y - y.mean() - Xc @ b
        tolerated = min(1e-6, 1e-3 * X.shape[1] / len(X))
        allowed = max(tolerated * float(residual @ residual), 1e-11 * float(((y - y.mean()) ** 2).sum()))
        return float(((Xc @ (b - best)) ** 2).sum()) / allowed


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("backend", [None, FLOAT32], ids=["float64", "float32"])
def test_honest_answer_is_exact_and_accepted(name, backend):
    X, y = make(name)
    params, answer = fitted(MODEL, X, y, **({} if backend is None else {"backend": backend}))
    best = standardised_optimum(X, y)
    assert np.linalg.norm(answer["coefficients"] - best) <= 1e-6 * np.linalg.norm(best)
    for seed in range(3):
        found = MODEL.check(X, y, params, 3, answer, rng=np.random.default_rng(seed))
        assert found.verdict == "accepted", found
        assert found.measured <= found.tolerance
        assert found.bound


@pytest.mark.parametrize("name", ["diabetes", "heavy tails", "large mean", "scales", "sparse"])
def test_each_coefficient_is_within_1e_6_of_the_exact_one(name):
    X, y = make(name)
    _, answer = fitted(MODEL, X, y)
    np.testing.assert_allclose(answer["coefficients"], standardised_optimum(X, y), rtol=1e-6)


def test_result_agrees_with_scikit_learn_on_diabetes():
    X, y = load_diabetes(return_X_y=True)
    params, answer = fitted(MODEL, X, y)
    result = MODEL.present(X, y, params, answer)
    theirs = LinearRegression().fit(X, y)
    np.testing.assert_allclose(result["coefficients"], theirs.coef_, rtol=1e-9)
    assert result["intercept"] == pytest.approx(theirs.intercept_, rel=1e-12)
    np.testing.assert_allclose(result["predictions"], theirs.predict(X), rtol=1e-10)
    assert result["r2"] == pytest.approx(theirs.score(X, y), rel=1e-12)
    assert result["rmse"] == pytest.approx(result["mse"] ** 0.5)


def test_standard_errors_are_the_textbook_ones():
    X, y = make("heavy tails")
    params, answer = fitted(MODEL, X, y)
    result = MODEL.present(X, y, params, answer)
    design = np.column_stack([np.ones(len(X)), X])
    residual = y - result["predictions"]
    covariance = np.linalg.inv(design.T @ design) * (residual @ residual) / (len(X) - 1 - X.shape[1])
    np.testing.assert_allclose(result["standard_errors"], np.sqrt(np.diag(covariance))[1:], rtol=1e-8)
    assert result["intercept_standard_error"] == pytest.approx(covariance[0, 0] ** 0.5, rel=1e-8)


def test_large_job_is_settled_by_the_row_samples_alone():
    X, y = make("heavy tails")
    params, answer = fitted(MODEL, X, y)
    found = MODEL.check(X, y, params, 3, answer, rng=np.random.default_rng(0))
    assert found.method.startswith("row samples")
    assert found.error_chance == pytest.approx(1e-4)


def test_intercept_of_the_result_is_computed_here_and_not_the_workers():
    X, y = make("diabetes")
    params, answer = fitted(MODEL, X, y)
    claimed = answer | {"intercept": np.asarray(1e6)}
    assert MODEL.present(X, y, params, claimed)["intercept"] == pytest.approx(float(answer["intercept"]))


def with_coefficients(X, y, b):
    return {"coefficients": np.asarray(b, dtype=float), "intercept": np.asarray(y.mean() - X.mean(axis=0) @ b)}


def subsample(part):
    def cheat(X, y, honest, rng):
        rows = rng.permutation(len(X))[: max(2, int(part * len(X)))]
        return with_coefficients(X, y, standardised_optimum(X[rows], y[rows]))

    return cheat


def scaled(factor):
    return lambda X, y, honest, rng: with_coefficients(X, y, honest["coefficients"] * factor)


def perturbed(size):
    def cheat(X, y, honest, rng):
        b = honest["coefficients"]
        return with_coefficients(X, y, b * (1 + size * rng.normal(size=len(b))))

    return cheat


def one_coefficient(size):
    def cheat(X, y, honest, rng):
        b = honest["coefficients"].copy()
        b[rng.integers(len(b))] *= 1 + size
        return with_coefficients(X, y, b)

    return cheat


def early_stop(X, y, honest, rng):
    Xc = X - X.mean(axis=0)
    scale = np.where(Xc.std(axis=0) > 0, Xc.std(axis=0), 1.0)
    A, w = Xc / scale, np.zeros(X.shape[1])
    for _ in range(30):
        w += A.T @ (y - y.mean() - A @ w) / np.linalg.norm(A, 2) ** 2
    return with_coefficients(X, y, w / scale)


def no_intercept(X, y, honest, rng):
    return with_coefficients(X, y, np.linalg.lstsq(X, y, rcond=None)[0])


def dropped_column(X, y, honest, rng):
    kept = np.arange(X.shape[1]) != rng.integers(X.shape[1])
    b = np.zeros(X.shape[1])
    b[kept] = standardised_optimum(X[:, kept], y)
    return with_coefficients(X, y, b)


def null_space_drift(X, y, honest, rng):
    """Predicts exactly as well where columns are collinear, with other coefficients."""
    Xc = X - X.mean(axis=0)
    scale = np.where(Xc.std(axis=0) > 0, Xc.std(axis=0), 1.0)
    direction = np.linalg.svd(Xc / scale)[2][-1]
    size = np.linalg.norm(honest["coefficients"] * scale)
    return with_coefficients(X, y, honest["coefficients"] + size * direction / scale)


CHEATS = {
    **{f"fit on {part:.0%} of the rows": subsample(part) for part in (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)},
    "all 0.1 % larger": scaled(1.001),
    "all 1 % smaller": scaled(0.99),
    "signs turned": scaled(-1.0),
    "zeros": scaled(0.0),
    "noise of 1 %": perturbed(0.01),
    "noise of 0.1 %": perturbed(0.001),
    "one coefficient 10 % off": one_coefficient(0.1),
    "one coefficient 1 % off": one_coefficient(0.01),
    "coefficients shuffled": lambda X, y, honest, rng: with_coefficients(X, y, rng.permutation(honest["coefficients"])),
    "target shuffled": lambda X, y, honest, rng: with_coefficients(X, y, standardised_optimum(X, rng.permutation(y))),
    "ridge": lambda X, y, honest, rng: with_coefficients(X, y, SklearnRidge(1.0).fit(X, y).coef_),
    "early stop": early_stop,
    "no intercept": no_intercept,
    "dropped column": dropped_column,
    "null space": null_space_drift,
    "half precision": lambda X, y, honest, rng: with_coefficients(X, y, honest["coefficients"].astype(np.float16)),
    "another job": lambda X, y, honest, rng: with_coefficients(X, y, rng.normal(size=X.shape[1])),
    "inflated intercept": lambda X, y, honest, rng: honest | {"intercept": honest["intercept"] + 0.1 * y.std()},
    "huge": lambda X, y, honest, rng: honest | {"coefficients": np.full(X.shape[1], 1e300)},
}
CHEATED = [name for name in NAMES if name != "digits"]


def test_no_cheat_is_accepted_above_the_tolerance():
    prepared = {}
    for name in CHEATED:
        X, y = make(name, seed=1)
        prepared[name] = X, y, *fitted(MODEL, X, y), standardised_optimum(X, y)
    rng = np.random.default_rng(2026)
    names, cheats, caught = list(prepared), list(CHEATS), 0
    for trial in range(TRIALS):
        name, cheat = names[trial % len(names)], cheats[rng.integers(len(cheats))]
        X, y, params, honest, best = prepared[name]
        with np.errstate(all="ignore"):
            answer = CHEATS[cheat](X, y, honest, rng)
        answer = {key: np.asarray(value, dtype=np.float64) for key, value in answer.items()}
        if not all(np.isfinite(value).all() for value in answer.values()):
            continue
        found = MODEL.check(X, y, params, 3, answer, rng=np.random.default_rng(trial))
        error = excess_over_tolerance(X, y, answer["coefficients"], best)
        if error > 1.1 or cheat == "inflated intercept":
            assert found.verdict == "rejected", (name, cheat, error, found)
            assert found.fault == "worker"
            caught += 1
    assert caught > TRIALS / 3


def test_drift_along_collinear_columns_is_rejected_although_it_predicts_as_well():
    X, y = make("rank deficient")
    params, honest = fitted(MODEL, X, y)
    answer = null_space_drift(X, y, honest, np.random.default_rng(0))
    found = MODEL.check(X, y, params, 3, answer, rng=np.random.default_rng(0))
    assert found.verdict == "rejected"
    assert found.measured <= found.tolerance


def test_malformed_answers_are_rejected_unread():
    X, y = make("iris")
    params, honest = fitted(MODEL, X, y)
    b = honest["coefficients"]
    for answer in (
        honest | {"coefficients": np.full_like(b, np.nan)},
        honest | {"intercept": np.asarray(np.inf)},
        honest | {"coefficients": b[:-1]},
        honest | {"coefficients": b.astype(np.float32)},
        honest | {"coefficients": b.astype(object)},
        honest | {"extra": b},
        {"coefficients": b},
    ):
        found = MODEL.check(X, y, params, 3, answer, rng=np.random.default_rng(0))
        assert (found.verdict, found.fault) == ("rejected", "worker")
    MODEL.refuse_misfit(params, *X.shape, headers(honest))


def test_data_that_overflow_are_the_jobs_fault():
    X, y = make("iris")
    params, honest = fitted(MODEL, X, y)
    found = MODEL.check(X * 1e200, y, params, 3, honest, rng=np.random.default_rng(0))
    assert (found.verdict, found.fault) == ("inconclusive", "job")


def test_crafted_near_collinear_data_do_not_slash_an_honest_worker():
    """A singular value at the rank cutoff: rounding decides the answer, so no worker is to blame for one."""
    rng = np.random.default_rng(5)
    X = np.linalg.qr(rng.normal(size=(500, 4)))[0]
    X[:, 3] = X[:, 2] + 2e-6 * X[:, 3]
    y = rng.normal(size=500)
    params, honest = fitted(MODEL, X, y)
    other = honest | {"coefficients": honest["coefficients"] + np.array([0, 0, 1e6, -1e6])}
    found = MODEL.check(X, y, params, 3, other, rng=np.random.default_rng(0))
    assert found.verdict == "inconclusive"
    assert found.fault == "job"


def test_row_samples_are_fooled_no_more_often_than_stated(monkeypatch):
    """With one sample and a factor c in the place of 10, the stated chance is 1/c: large enough to be seen."""
    rng = np.random.default_rng(0)
    X = rng.standard_t(2, size=(4000, 5))
    y = X @ rng.normal(size=5) + rng.normal(size=4000)
    best = standardised_optimum(X, y)
    at = least_squares.moments(X, y, 0.0)
    Xc = X - X.mean(axis=0)
    monkeypatch.setattr(least_squares_check, "SAMPLES", 1)
    seen = {}
    for factor in (1.5, 2.0, 4.0):
        monkeypatch.setattr(least_squares_check, "MARKOV", factor)
        fooled, trials = 0, max(TRIALS, 400)
        for _ in range(trials):
            b = best + 1e-3 * rng.normal(size=5) / at.scale
            excess = float(((Xc @ (b - best)) ** 2).mean())
            problem = least_squares_check.Problem(X, y, 0.0, relative=1.0)
            found = least_squares_check.sketch(problem, b, float(y.mean() - X.mean(axis=0) @ b), rng)
            fooled += excess > found.measured
        seen[factor] = fooled / trials
    assert all(rate <= 1 / factor for factor, rate in seen.items()), seen
    assert max(seen.values()) > 0, "the tolerance is not loose enough to see anything"


def test_what_the_data_do_not_determine_has_no_standard_error():
    rng = np.random.default_rng(3)
    X = np.column_stack([rng.normal(size=40), rng.normal(size=40), np.full(40, 7.0)])
    X = np.column_stack([X, 2 * X[:, 0]])
    y = X @ [1.0, 2.0, 0.0, 0.0] + rng.normal(size=40)
    found = MODEL.present(X, y, *fitted(MODEL, X, y))
    assert found["rank"] == 2
    assert np.isnan(found["standard_errors"]).tolist() == [True, False, False, True]
    assert found["intercept_standard_error"] > 0, "a multiple of a column leaves the intercept as it is"
    moved = X + [0.0, 0.0, 0.0, 5.0]
    assert MODEL.present(moved, y, *fitted(MODEL, moved, y))["intercept_standard_error"] is None
    few = MODEL.present(X[:2], y[:2], *fitted(MODEL, X[:2], y[:2]))
    assert np.isnan(few["standard_errors"]).all() and few["intercept_standard_error"] is None
