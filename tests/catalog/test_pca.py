"""Principal components against scikit-learn, and against workers that cheat."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA as SklearnPCA

from tests.catalog.data import FLOAT32, NAMES, TRIALS, fitted, make
from workers.catalog import MODELS, pca

MODEL = MODELS["pca_analysis"]


def exact_gram(X: np.ndarray) -> np.ndarray:
    Xc = X - X.mean(axis=0)
    return Xc @ Xc.T if len(X) < X.shape[1] else Xc.T @ Xc


def scaled_error(X: np.ndarray, G: np.ndarray) -> float:
    """The Frobenius norm of the error in units of the norms, over the square root of the side and the tolerance."""
    D = pca.side_scale(X, X.mean(axis=0))
    with np.errstate(all="ignore"):
        return float(np.linalg.norm((G - exact_gram(X)) / D / D[:, None])) / len(G) ** 0.5 / pca.TOLERANCE


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("backend", [None, FLOAT32], ids=["float64", "float32"])
def test_honest_answer_is_accepted(name, backend):
    X, _ = make(name)
    params, answer = fitted(MODEL, X, None, **({} if backend is None else {"backend": backend}))
    for seed in range(5):
        found = MODEL.check(X, None, params, 3, answer, rng=np.random.default_rng(seed))
        assert found.verdict == "accepted", found


@pytest.mark.parametrize("offset", [0.0, 15.0, -1e6], ids=["none", "moved at the end", "taken out first"])
def test_means_cost_no_digits_that_matter(offset):
    rng = np.random.default_rng(5)
    X = rng.normal(size=(20_000, 40)) + offset
    X[:, 0] = np.arange(len(X)) % 78 == 5  # none of the rows that give the shift has any
    _, answer = fitted(MODEL, X, None)
    D = pca.side_scale(X, X.mean(axis=0))
    exact = exact_gram(X.astype(np.longdouble)).astype(float)
    assert np.abs((answer["gram"] - exact) / D / D[:, None]).max() < 1e-12


def test_single_precision_loses_no_more_digits_over_many_rows_of_rare_ones():
    X = (np.random.default_rng(7).random(size=(50_000, 6)) < 0.003).astype(float)
    _, answer = fitted(MODEL, X, None, backend=FLOAT32)
    assert scaled_error(X, answer["gram"]) < 0.1


@pytest.mark.parametrize("name", ["breast cancer", "digits", "wine", "large mean", "wide", "duplicates"])
def test_result_agrees_with_scikit_learn(name):
    X, _ = make(name)
    kept = 3
    params, answer = fitted(MODEL, X, None, n_components=kept)
    result = MODEL.present(X, None, params, answer)
    theirs = SklearnPCA(kept, svd_solver="full").fit(X)
    np.testing.assert_allclose(result["explained_variance"], theirs.explained_variance_, rtol=1e-9)
    np.testing.assert_allclose(result["explained_variance_ratio"], theirs.explained_variance_ratio_, rtol=1e-9)
    np.testing.assert_allclose(result["mean"], theirs.mean_, rtol=1e-12, atol=1e-12)
    turned = np.sign((result["components"] * theirs.components_).sum(axis=1))[:, None]
    np.testing.assert_allclose(result["components"] * turned, theirs.components_, atol=1e-7)
    np.testing.assert_allclose(
        result["transformed_data"] * turned[:, 0], theirs.transform(X), atol=1e-6 * np.abs(X - X.mean(axis=0)).max()
    )


def test_largest_entry_of_every_component_is_positive():
    X, _ = load_breast_cancer(return_X_y=True)
    params, answer = fitted(MODEL, X, None, n_components=10)
    components = MODEL.present(X, None, params, answer)["components"]
    assert (components[np.arange(10), np.abs(components).argmax(axis=1)] > 0).all()


def test_all_components_of_wide_data_are_orthonormal():
    X, _ = make("wide")
    params, answer = fitted(MODEL, X, None, n_components=len(X))
    components = MODEL.present(X, None, params, answer)["components"]
    np.testing.assert_allclose(components @ components.T, np.eye(len(X)), atol=1e-8)


def test_constant_data_have_components_of_no_variance():
    X = np.full((20, 3), 5.0)
    params, answer = fitted(MODEL, X, None, n_components=2)
    assert MODEL.check(X, None, params, 3, answer, rng=np.random.default_rng(0)).verdict == "accepted"
    result = MODEL.present(X, None, params, answer)
    np.testing.assert_array_equal(result["explained_variance_ratio"], [0, 0])


def of_rows(part):
    def cheat(X, G, rng):
        rows = rng.permutation(len(X))[: max(2, int(part * len(X)))]
        if len(X) < X.shape[1]:
            return exact_gram(X) * part
        centred = X[rows] - X[rows].mean(axis=0)
        return centred.T @ centred * len(X) / len(rows)

    return cheat


def spectral(change):
    """A Gram matrix with its eigenvalues or eigenvectors changed: what a worker would send to sell other components."""

    def cheat(X, G, rng):
        values, vectors = np.linalg.eigh(G)
        values, vectors = change(values[::-1].copy(), vectors[:, ::-1].copy(), rng)
        return (vectors * values) @ vectors.T

    return cheat


def dropped(values, vectors, rng):
    values[1:-1] = values[2:]
    return values, vectors


def without_first(values, vectors, rng):
    values[0] = values[-1]
    return values, vectors


def truncated(values, vectors, rng):
    values[2:] = 0
    return values, vectors


def inflated(values, vectors, rng):
    values[0] *= 1.01
    return values, vectors


def rotated(values, vectors, rng):
    angle = 0.05
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    vectors[:, :2] = vectors[:, :2] @ turn
    return values, vectors


def doubled(values, vectors, rng):
    vectors[:, 1] = vectors[:, 0]
    return values, vectors


def power_iterated(X, G, rng):
    """Two steps of subspace iteration, sold as the whole."""
    Q = np.linalg.qr(G @ (G @ rng.normal(size=(len(G), min(2, len(G))))))[0]
    return Q @ (Q.T @ G @ Q) @ Q.T


def one_entry(size):
    def cheat(X, G, rng):
        forged, (i, j) = G.copy(), rng.integers(len(G), size=2)
        forged[i, j] += size * np.sqrt(abs(G[i, i] * G[j, j]))
        return forged

    return cheat


def uncentred(X, G, rng):
    return X @ X.T if len(X) < X.shape[1] else X.T @ X


def noisy(size):
    return lambda X, G, rng: G * (1 + size * rng.normal(size=G.shape))


def standardised(X, G, rng):
    D = np.sqrt(np.diag(G))
    return G / np.where(D > 0, D, 1) / np.where(D > 0, D, 1)[:, None] * len(X)


def one_norm(factor):
    """A column's norm claimed larger, smaller or nothing: the probes are scaled by the norms that the answer claims."""

    def cheat(X, G, rng):
        forged, j = G.copy(), rng.integers(len(G))
        forged[j] *= factor
        forged[:, j] *= factor
        return forged

    return cheat


def tensor_float(X, G, rng):
    """Products of numbers cut to 10 bits, as TF32 makes them."""
    Xc = (X - X.mean(axis=0)).astype(np.float32)
    cut = (Xc.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32).astype(np.float64)
    return cut @ cut.T if len(X) < X.shape[1] else cut.T @ cut


CHEATS = {
    **{f"of {part:.0%} of the rows": of_rows(part) for part in (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)},
    "zeros": lambda X, G, rng: np.zeros_like(G),
    "identity": lambda X, G, rng: np.eye(len(G)) * np.trace(G) / len(G),
    "diagonal alone": lambda X, G, rng: np.diag(np.diag(G)),
    "uncentred": uncentred,
    "standardised": standardised,
    "0.1 % larger": lambda X, G, rng: G * 1.001,
    "noise of 1 %": noisy(0.01),
    "noise of 0.1 %": noisy(0.001),
    "one entry by 1": one_entry(1.0),
    "one entry by 1 %": one_entry(0.01),
    "one entry by 0.1 %": one_entry(0.001),
    "ridge": lambda X, G, rng: G + 0.01 * np.diag(np.diag(G)),
    "columns shuffled": lambda X, G, rng: G[order := rng.permutation(len(G))][:, order],
    "component dropped": spectral(dropped),
    "first component gone": spectral(without_first),
    "component rotated": spectral(rotated),
    "component doubled": spectral(doubled),
    "eigenvalue inflated": spectral(inflated),
    "low rank": spectral(truncated),
    "power iteration stopped early": power_iterated,
    "tensor-float products": tensor_float,
    "a norm tenfold": one_norm(10.0),
    "a norm of a tenth": one_norm(0.1),
    "a norm of nothing": one_norm(0.0),
    "diagonal turned": lambda X, G, rng: G - 2 * np.diag(np.diag(G)),
    "another job": lambda X, G, rng: exact_gram(rng.normal(size=X.shape)),
    "triangle alone": lambda X, G, rng: np.triu(G),
    "huge": lambda X, G, rng: np.full_like(G, 1e300),
}


def test_no_cheat_is_accepted_above_the_bound():
    prepared = {name: (X := make(name, seed=1)[0], *fitted(MODEL, X, None)) for name in NAMES}
    rng = np.random.default_rng(2026)
    cheats, caught, between = list(CHEATS), 0, 0
    for trial in range(TRIALS):
        name, cheat = NAMES[trial % len(NAMES)], cheats[rng.integers(len(cheats))]
        X, params, honest = prepared[name]
        with np.errstate(all="ignore"):
            G = np.ascontiguousarray(CHEATS[cheat](X, honest["gram"], rng), dtype=np.float64)
        if not np.isfinite(G).all():
            continue
        found = MODEL.check(X, None, params, 3, {"gram": G}, rng=np.random.default_rng(trial))
        error = scaled_error(X, G)
        if error > 10:
            assert (found.verdict, found.fault) == ("rejected", "worker"), (name, cheat, error, found)
            caught += 1
        elif error > 1.01:
            between += 1
    assert caught > TRIALS / 2
    assert between < TRIALS / 5


def test_probes_measure_at_least_the_error_in_units_of_the_true_norms():
    """Claimed norms make the probes smaller where they are too large, and a factor makes up for it."""
    X, rng = load_breast_cancer(return_X_y=True)[0], np.random.default_rng(0)
    D, claimed = pca.side_scale(X, X.mean(axis=0)), exact_gram(X)
    claimed[:, 3] += rng.normal(size=len(D)) * D * D[3]
    claimed[3, 3] = 16 * D[3] ** 2
    difference, scale = pca._probed(X, claimed, rng.standard_normal((len(D), 4000)))
    np.testing.assert_allclose(scale, D, rtol=1e-9)
    measured = np.linalg.norm(difference / D[:, None]) / 4000**0.5
    assert measured >= 0.95 * np.linalg.norm((claimed - exact_gram(X)) / D / D[:, None])


@pytest.mark.parametrize("shift", [0.0, 1e4], ids=["as they are", "far from zero"])
@pytest.mark.parametrize("factor", [1e6, 10.0, 1.01, 0.99, 0.1, 1e-6, 0.0])
def test_norms_that_an_answer_claims_do_not_blind_the_probes(factor, shift):
    X = load_breast_cancer(return_X_y=True)[0] + shift
    params, honest = fitted(MODEL, X, None)
    found = MODEL.check(X, None, params, 3, honest, rng=np.random.default_rng(0))
    assert (found.verdict, found.method) == ("accepted", pca.METHOD)
    rng = np.random.default_rng(1)
    for trial in range(5):
        forged = {"gram": one_norm(factor)(X, honest["gram"], rng)}
        found = MODEL.check(X, None, params, 3, forged, rng=np.random.default_rng(trial))
        assert (found.verdict, found.fault) == ("rejected", "worker")


def test_malformed_answers_are_rejected_unread():
    X, _ = make("iris")
    params, honest = fitted(MODEL, X, None)
    G = honest["gram"]
    for answer in (
        {"gram": np.where(np.eye(4) > 0, np.nan, G)},
        {"gram": G[:, :-1]},
        {"gram": G.astype(np.float32)},
        {"gram": G[None]},
        {"gram": G, "components": G},
        {},
    ):
        found = MODEL.check(X, None, params, 3, answer, rng=np.random.default_rng(0))
        assert (found.verdict, found.fault) == ("rejected", "worker")


@pytest.mark.parametrize("factor", [1e-30, 1e30])
def test_float32_neither_overflows_nor_underflows(factor):
    X = make("breast cancer")[0] * factor
    params, answer = fitted(MODEL, X, None, backend=FLOAT32)
    found = MODEL.check(X, None, params, 3, answer, rng=np.random.default_rng(0))
    assert found.verdict == "accepted", found


def test_data_that_overflow_are_the_jobs_fault():
    X, _ = make("iris")
    params, honest = fitted(MODEL, X, None)
    found = MODEL.check(X * 1e200, None, params, 3, honest, rng=np.random.default_rng(0))
    assert (found.verdict, found.fault) == ("inconclusive", "job")


def test_probes_are_fooled_no_more_often_than_stated(monkeypatch):
    """At x times the tolerance a forged matrix passes with a chance of at most (e/x²)^(s/2)."""
    X, _ = make("breast cancer")
    scale, G = pca.side_scale(X, X.mean(axis=0)), exact_gram(X)
    monkeypatch.setattr(pca, "PROBES", 2)
    rng = np.random.default_rng(0)
    trials, x, passed = max(TRIALS, 1000), 3.0, 0
    for _ in range(trials):
        u = rng.normal(size=(len(G), 2))  # an error of rank one is the hardest to see
        error = np.outer(u[:, 0] * scale, u[:, 1] * scale)
        error *= x * pca.TOLERANCE * len(G) ** 0.5 / np.linalg.norm(error / scale / scale[:, None])
        passed += pca.freivalds(X, G + error, rng).verdict == "accepted"
    assert 0 < passed / trials <= np.e / x**2
