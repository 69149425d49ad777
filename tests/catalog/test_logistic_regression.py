"""Logistic regression against scikit-learn, and against workers that cheat."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.linear_model import LogisticRegression

from tests.catalog.data import FLOAT32, TRIALS, fitted, make
from workers.catalog import MODELS, logistic
from workers.catalog.base import DataError
from workers.catalog.logistic_regression import tolerance

MODEL = MODELS["logistic_regression"]
NAMES = ["breast cancer", "iris", "wine", "diabetes", "collinear", "large mean", "duplicates", "heavy tails", "wide"]


def labelled(name: str, seed: int = 0):
    X, y = make(name, seed)
    return X, y if name in ("breast cancer", "iris", "wine") else (y > np.median(y)).astype(np.float64)


def standardised(X):
    return np.ascontiguousarray((X - X.mean(axis=0)) / np.where(X.std(axis=0) > 0, X.std(axis=0), 1.0))


def check(X, y, params, answer, seed=0):
    return MODEL.check(X, y, params, 3, answer, rng=np.random.default_rng(seed))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("C", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("backend", [None, FLOAT32], ids=["float64", "float32"])
def test_honest_answer_is_accepted(name, C, backend):
    X, y = labelled(name)
    params, answer = fitted(MODEL, X, y, C=C, **({} if backend is None else {"backend": backend}))
    found = check(X, y, params, answer)
    assert found.verdict == "accepted", found
    assert found.error_chance == 0.0


@pytest.mark.parametrize("name", ["breast cancer", "diabetes", "heavy tails", "wide"])
def test_two_classes_agree_with_scikit_learn(name):
    X, y = labelled(name)
    X = standardised(X)
    params, answer = fitted(MODEL, X, y)
    result = MODEL.present(X, y, params, answer)
    theirs = LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(result["coefficients"], theirs.coef_, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(result["intercept"], theirs.intercept_, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(result["probabilities"], theirs.predict_proba(X), atol=1e-8)
    np.testing.assert_array_equal(result["predictions"], theirs.predict(X))
    assert result["accuracy"] == pytest.approx(theirs.score(X, y))


def test_more_classes_are_each_fitted_against_the_rest():
    X, y = load_iris(return_X_y=True)
    params, answer = fitted(MODEL, X, y.astype(float))
    result = MODEL.present(X, y.astype(float), params, answer)
    for number in range(3):
        theirs = LogisticRegression(solver="newton-cholesky", tol=1e-12).fit(X, y == number)
        np.testing.assert_allclose(result["coefficients"][number], theirs.coef_[0], rtol=1e-6)
    np.testing.assert_allclose(result["probabilities"].sum(axis=1), 1.0)
    assert result["accuracy"] > 0.93


def test_target_that_is_no_class_label_is_the_jobs_fault():
    X, y = make("diabetes")
    with pytest.raises(DataError, match="different values"):
        fitted(MODEL, X, y)
    with pytest.raises(DataError, match="1 different values"):
        fitted(MODEL, X, np.ones_like(y))
    answer = {"coefficients": np.zeros((1, X.shape[1])), "intercept": np.zeros(1)}
    found = check(X, y, MODEL.clean({}), answer)
    assert (found.verdict, found.fault) == ("inconclusive", "job")


def subsample(part):
    def cheat(X, y, params, honest, rng):
        rows = rng.permutation(len(X))[: max(10, int(part * len(X)))]
        return MODEL.fit(X[rows], y[rows], params, 3, backend=FLOAT32, progress=lambda *_: None)

    return cheat


def scaled(factor):
    return lambda X, y, params, honest, rng: honest | {"coefficients": honest["coefficients"] * factor}


def other_penalty(factor):
    def cheat(X, y, params, honest, rng):
        return MODEL.fit(X, y, {"C": params["C"] * factor}, 3, backend=FLOAT32, progress=lambda *_: None)

    return cheat


def gradient_descent(X, y, params, honest, rng):
    """Twenty steps, then stop."""
    signs, w = np.where(y == y.max(), 1.0, -1.0), np.zeros(X.shape[1])
    rate = 1.0 / (1.0 + 0.25 * np.linalg.norm(X, 2) ** 2)
    for _ in range(20):
        w -= rate * (w - X.T @ (signs * logistic.sigmoid(-signs * (X @ w))))
    return {"coefficients": w[None], "intercept": np.zeros(1)}


def changed(change):
    return lambda X, y, params, honest, rng: honest | {"coefficients": change(honest["coefficients"].copy(), rng)}


def one_gone(w, rng):
    w[0, np.abs(w[0]).argmax()] = 0.0
    return w


def one_off(size):
    def change(w, rng):
        w[0, np.abs(w[0]).argmax()] *= 1 + size
        return w

    return changed(change)


CHEATS = {
    **{f"fit on {part:.0%} of the rows": subsample(part) for part in (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)},
    "all 1 % larger": scaled(1.01),
    "all 0.1 % larger": scaled(1.001),
    "zeros": scaled(0.0),
    "signs turned": scaled(-1.0),
    "a tenth of the penalty": other_penalty(10.0),
    "ten times the penalty": other_penalty(0.1),
    "1 % less penalty": other_penalty(1.01),
    "gradient descent stopped early": gradient_descent,
    "noise of 1 %": changed(lambda w, rng: w * (1 + 0.01 * rng.normal(size=w.shape))),
    "noise of 0.1 %": changed(lambda w, rng: w * (1 + 0.001 * rng.normal(size=w.shape))),
    "coefficients shuffled": changed(lambda w, rng: np.ascontiguousarray(w[:, rng.permutation(w.shape[1])])),
    "largest coefficient gone": changed(one_gone),
    "largest coefficient 10 % off": one_off(0.1),
    "largest coefficient 1 % off": one_off(0.01),
    "another job": changed(lambda w, rng: rng.normal(size=w.shape)),
    "half precision": changed(lambda w, rng: w.astype(np.float16).astype(np.float64)),
    "intercept off": lambda X, y, params, honest, rng: honest | {"intercept": honest["intercept"] + 0.3},
    "huge": changed(lambda w, rng: np.full_like(w, 1e300)),
    "labels shuffled": lambda X, y, params, honest, rng: MODEL.fit(
        X, rng.permutation(y), params, 3, backend=FLOAT32, progress=lambda *_: None
    ),
}


def true_excess(X, signs, answer, best, C):
    """P at the answer less P at the optimum, directly."""
    value = [
        logistic.objective(X @ it["coefficients"][0] + it["intercept"][0], signs, it["coefficients"][0], C)
        for it in (answer, best)
    ]
    return (value[0] - value[1]) / tolerance(value[1], C, X.shape[1])


def test_no_cheat_is_accepted_above_the_tolerance():
    prepared = {}
    for name in ("breast cancer", "diabetes", "collinear", "duplicates", "heavy tails"):
        X, y = labelled(name, seed=1)
        prepared[name] = standardised(X), y, *fitted(MODEL, standardised(X), y)
    rng, names, cheats, caught = np.random.default_rng(7), list(prepared), list(CHEATS), 0
    for trial in range(TRIALS):
        name, cheat = names[trial % len(names)], cheats[rng.integers(len(cheats))]
        X, y, params, honest = prepared[name]
        with np.errstate(all="ignore"):
            answer = CHEATS[cheat](X, y, params, honest, rng)
            found = check(X, y, params, answer, trial)
            error = true_excess(X, np.where(y == y.max(), 1.0, -1.0), answer, honest, params["C"])
        if not error <= 1.01:
            assert (found.verdict, found.fault) == ("rejected", "worker"), (name, cheat, error, found)
            caught += 1
    assert caught > TRIALS / 2


def test_malformed_answers_are_rejected_unread():
    X, y = load_breast_cancer(return_X_y=True)
    params, honest = fitted(MODEL, X, y.astype(float))
    w = honest["coefficients"]
    for answer in (
        honest | {"coefficients": np.full_like(w, np.nan)},
        honest | {"coefficients": w[0]},
        honest | {"coefficients": w.astype(np.float32)},
        honest | {"intercept": np.zeros(2)},
        {"coefficients": np.zeros((0, X.shape[1])), "intercept": np.zeros(0)},
        {"coefficients": np.zeros((3, X.shape[1])), "intercept": np.zeros(3)},
        {"coefficients": w},
    ):
        found = check(X, y.astype(float), params, answer)
        assert (found.verdict, found.fault) == ("rejected", "worker")
