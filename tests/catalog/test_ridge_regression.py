"""Ridge regression against scikit-learn, and against workers that cheat."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from tests.catalog.data import FLOAT32, NAMES, TRIALS, fitted, make
from tests.catalog.test_linear_regression import CHEATS, with_coefficients
from workers.catalog import MODELS

MODEL = MODELS["ridge_regression"]


def exact(X: np.ndarray, y: np.ndarray, alpha: float) -> np.ndarray:
    """By the singular value decomposition of Xc."""
    U, s, V = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
    return V.T @ (s / (s**2 + alpha) * (U.T @ (y - y.mean())))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("backend", [None, FLOAT32], ids=["float64", "float32"])
def test_honest_answer_is_exact_and_accepted(name, backend):
    X, y = make(name)
    params, answer = fitted(MODEL, X, y, alpha=2.5, **({} if backend is None else {"backend": backend}))
    best = exact(X, y, 2.5)
    assert np.linalg.norm(answer["coefficients"] - best) <= 1e-6 * np.linalg.norm(best)
    for seed in range(3):
        assert MODEL.check(X, y, params, 3, answer, rng=np.random.default_rng(seed)).verdict == "accepted"


@pytest.mark.parametrize("name", ["diabetes", "wide", "heavy tails"])
@pytest.mark.parametrize("alpha", [1e-3, 1.0, 1e3])
def test_result_agrees_with_scikit_learn(name, alpha):
    X, y = make(name)
    params, answer = fitted(MODEL, X, y, alpha=alpha)
    result, theirs = MODEL.present(X, y, params, answer), Ridge(alpha, solver="svd").fit(X, y)
    np.testing.assert_allclose(result["coefficients"], theirs.coef_, rtol=1e-6)
    assert result["intercept"] == pytest.approx(theirs.intercept_, rel=1e-8)
    assert result["alpha"] == alpha
    assert "standard_errors" not in result


def test_no_cheat_is_accepted_above_the_tolerance():
    prepared, alpha = {}, 1.0
    for name in (name for name in NAMES if name != "digits"):
        X, y = make(name, seed=1)
        prepared[name] = X, y, *fitted(MODEL, X, y, alpha=alpha), exact(X, y, alpha)
    other = {
        "no penalty": lambda X, y, honest, rng: with_coefficients(X, y, exact(X, y, 0.0)),
        "ridge": lambda X, y, honest, rng: with_coefficients(X, y, exact(X, y, 10 * alpha)),
        "a little less": lambda X, y, honest, rng: with_coefficients(X, y, exact(X, y, 0.9 * alpha)),
    }
    cheats = CHEATS | other
    rng, names, keys, caught = np.random.default_rng(7), list(prepared), list(cheats), 0
    for trial in range(TRIALS):
        name, cheat = names[trial % len(names)], keys[rng.integers(len(keys))]
        X, y, params, honest, best = prepared[name]
        with np.errstate(all="ignore"):
            answer = cheats[cheat](X, y, honest, rng)
            answer = {key: np.asarray(value, dtype=np.float64) for key, value in answer.items()}
            if not all(np.isfinite(value).all() for value in answer.values()):
                continue
            found = MODEL.check(X, y, params, 3, answer, rng=np.random.default_rng(trial))
            Xc, off = X - X.mean(axis=0), answer["coefficients"] - best
            residual = y - y.mean() - Xc @ answer["coefficients"]
            excess = float(((Xc @ off) ** 2).sum() + alpha * off @ off)
            allowed = min(1e-6, 1e-3 * X.shape[1] / len(X)) * float(residual @ residual)
            allowed = max(allowed, 1e-11 * float(((y - y.mean()) ** 2).sum()))
        if excess > 1.1 * allowed or cheat == "inflated intercept":
            assert (found.verdict, found.fault) == ("rejected", "worker"), (name, cheat, excess / allowed, found)
            caught += 1
    assert caught > TRIALS / 3
