"""K-means against scikit-learn, and against workers that cheat."""

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.cluster import KMeans as SklearnKMeans
from sklearn.datasets import make_blobs

from tests.catalog.data import FLOAT32, NAMES, TRIALS, fitted, make
from tests.catalog.kmeans_cheats import CHEATS, MODEL, SEED, Prepared, true_errors
from workers.catalog import kmeans
from workers.catalog.backend import NUMPY
from workers.catalog.base import headers, no_progress
from workers.catalog.lloyd import Means
from workers.catalog.parameters import ParameterError


def check(X, params, answer, seed=0):
    return MODEL.check(X, None, params, SEED, answer, rng=np.random.default_rng(seed))


def their_best_of_ten(X: np.ndarray, k: int) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(SklearnKMeans(k, n_init=10, random_state=0).fit(X).inertia_)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("backend", [None, FLOAT32], ids=["float64", "float32"])
def test_honest_answer_is_accepted(name, backend):
    X, _ = make(name)
    params, answer = fitted(MODEL, X, None, k=5, **({} if backend is None else {"backend": backend}))
    MODEL.refuse_misfit(params, *X.shape, headers(answer))
    for seed in range(3):
        found = check(X, params, answer, seed)
        assert found.verdict == "accepted", found


@pytest.mark.parametrize(
    ("name", "k"), [("iris", 3), ("digits", 10), ("wine", 3), ("breast cancer", 4), ("diabetes", 6), ("heavy tails", 8)]
)
def test_inertia_is_at_most_two_percent_above_scikit_learns_best_of_ten(name, k):
    X, _ = make(name)
    params, answer = fitted(MODEL, X, None, k=k)
    assert MODEL.present(X, None, params, answer)["inertia"] <= 1.02 * their_best_of_ten(X, k)


@pytest.mark.parametrize("kind", ["blobs", "far off", "normal"])
def test_starting_on_a_sample_of_many_rows_costs_no_quality(kind):
    rng = np.random.default_rng(2)
    X = {
        "blobs": lambda: make_blobs(20_000, 6, centers=12, random_state=3)[0],
        "far off": lambda: rng.standard_t(3, size=(20_000, 4)),
        "normal": lambda: rng.normal(size=(20_000, 6)),
    }[kind]()
    params, answer = fitted(MODEL, X, None, k=8)
    assert MODEL.present(X, None, params, answer)["inertia"] <= 1.02 * their_best_of_ten(X, 8)
    assert check(X, params, answer).verdict == "accepted"


def test_result_is_computed_from_the_centres_alone():
    X, _ = make("iris")
    params, answer = fitted(MODEL, X, None, k=3)
    result = MODEL.present(X, None, params, answer)
    squared = ((X[:, None] - result["centroids"]) ** 2).sum(axis=2)
    np.testing.assert_array_equal(result["labels"], squared.argmin(axis=1))
    assert result["inertia"] == pytest.approx(squared.min(axis=1).sum())
    assert result["cluster_sizes"].sum() == len(X)
    assert (result["k"], result["centroids"].shape) == (3, (3, 4))


def test_fewer_distinct_points_than_clusters_still_fit_and_pass():
    X = np.repeat(np.random.default_rng(0).normal(size=(3, 2)), 30, axis=0)
    params, answer = fitted(MODEL, X, None, k=6)
    assert check(X, params, answer).verdict == "accepted"
    assert MODEL.present(X, None, params, answer)["inertia"] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("k", [1, 12])
def test_one_cluster_and_a_cluster_for_every_row(k):
    X = np.random.default_rng(0).normal(size=(12, 2))
    params, answer = fitted(MODEL, X, None, k=k)
    assert check(X, params, answer).verdict == "accepted"


def test_more_clusters_than_rows_are_refused_before_anything_is_paid():
    with pytest.raises(ParameterError, match="at most the number of rows"):
        MODEL.validate(MODEL.clean({"k": 13}), 12, 2)


def test_same_job_gives_the_same_answer():
    X, _ = make("wine")
    _, first = fitted(MODEL, X, None, k=4)
    _, second = fitted(MODEL, X, None, k=4)
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])


def prepared() -> dict[str, Prepared]:
    found = {}
    for name in ("iris", "wine", "digits", "heavy tails", "large mean", "duplicates", "wide"):
        X, _ = make(name, seed=1)
        found[name] = Prepared(X, *fitted(MODEL, X, None, seed=SEED, k=4, n_init=4))
    X = np.random.default_rng(9).normal(size=(6000, 3))
    found["more rows than the sample"] = Prepared(X, *fitted(MODEL, X, None, seed=SEED, k=6, n_init=3))
    return found


def test_no_cheat_is_accepted_beyond_the_bound():
    data, rng = prepared(), np.random.default_rng(2026)
    names, cheats, caught = list(data), list(CHEATS), 0
    for trial in range(TRIALS):
        name, cheat = names[trial % len(names)], cheats[rng.integers(len(cheats))]
        it = data[name]
        with np.errstate(all="ignore"):
            answer = CHEATS[cheat](it, rng)
        found = check(it.X, it.params, answer, trial)
        assert found.verdict != "inconclusive", (name, cheat, found)
        if found.verdict == "rejected":
            caught += 1
            continue
        share, error = true_errors(it, answer)
        assert share <= 0.007, (name, cheat, share)
        assert error <= 1e-4, (name, cheat, error)
    assert caught > TRIALS / 2


@pytest.mark.parametrize(
    "cheat",
    [
        "first step jumped",  # a late one moves fewer labels than the bound allows to be wrong
        "stale labels",
        "forged start",
        "one start sold as ten",
        "other starts not run",
        "end without the way",
    ],
)
def test_short_cut_is_always_rejected(cheat):
    X = np.random.default_rng(9).normal(size=(5000, 3))
    it = Prepared(X, *fitted(MODEL, X, None, seed=SEED, k=6, n_init=3))
    for seed in range(10):
        found = check(X, it.params, CHEATS[cheat](it, np.random.default_rng(seed)), seed)
        assert (found.verdict, found.fault) == ("rejected", "worker")


def test_malformed_answers_are_rejected_unread():
    X, _ = make("iris")
    params, honest = fitted(MODEL, X, None)
    for answer in (
        honest | {"centroids": np.full_like(honest["centroids"], np.nan)},
        honest | {"centroids": honest["centroids"][:, :, :-1]},
        honest | {"labels": honest["labels"].astype(np.int64)},
        honest | {"labels": honest["labels"][:-1]},
        honest | {"changes": honest["changes"][:-1]},
        honest | {"inertia": np.asarray(0.0)},
        {"centroids": honest["centroids"]},
    ):
        found = check(X, params, answer)
        assert (found.verdict, found.fault) == ("rejected", "worker")


@pytest.mark.parametrize("factor", [1e-30, 1e30])
def test_float32_neither_overflows_nor_underflows(factor):
    X = make("breast cancer")[0] * factor
    params, answer = fitted(MODEL, X, None, backend=FLOAT32)
    found = check(X, params, answer)
    assert found.verdict == "accepted", found


def test_data_that_overflow_are_the_jobs_fault():
    X, _ = make("iris")
    params, honest = fitted(MODEL, X, None)
    found = check(X * 1e200, params, honest)
    assert (found.verdict, found.fault) == ("inconclusive", "job")


def test_wrong_labels_are_missed_no_more_often_than_stated(monkeypatch):
    """A share φ of wrong labels is missed with a chance of (1 - φ)^s; s is made small enough to see it."""
    from_sample = 100
    monkeypatch.setattr("workers.catalog.kmeans_check.STEP_SAMPLE", from_sample)
    monkeypatch.setattr("workers.catalog.kmeans_check.LAST_SAMPLE", 1)
    X = np.random.default_rng(9).normal(size=(6000, 3))
    it = Prepared(X, *fitted(MODEL, X, None, seed=SEED, k=6, n_init=1, max_iter=1))
    answer = CHEATS["2 % of the labels at random"](it, np.random.default_rng(0))
    share, _ = true_errors(it, answer)
    assert share > 0.01
    missed, trials = 0, max(TRIALS, 300)
    for trial in range(trials):
        try:
            kmeans._verify(X, it.params, SEED, answer, np.random.default_rng(trial))
            missed += 1
        except kmeans.Wrong:
            pass
    assert 0 < missed / trials <= (1 - share) ** from_sample + 3 * (0.25 / trials) ** 0.5


@pytest.mark.parametrize("spread", [0.0, 1e-8, 1e-5])
def test_starts_that_tie_are_told_apart_by_rounding_and_nobody_is_blamed(monkeypatch, spread):
    """Rows that lie on few points: all starts find them, and what is left of their inertias is rounding."""
    rng, rightly = np.random.default_rng(0), Means.centroids
    X = (rng.normal(size=(5, 3)) * 7.3)[rng.integers(5, size=1000)] + spread * rng.normal(size=(1000, 3))
    params = MODEL.clean({"k": 5})

    def otherwise(means: Means, before: Any, seed: int, run: int, step: int) -> Any:
        """An honest machine whose sums differ by a unit in the last place."""
        kept = means.sums
        means.sums = kept * (1 + 2.0**-52 * np.random.default_rng(run * 1000 + step).integers(-1, 2, size=kept.shape))
        try:
            return rightly(means, before, seed, run, step)
        finally:
            means.sums = kept

    for seed in range(4):
        for machine in (rightly, otherwise):
            monkeypatch.setattr(Means, "centroids", machine)
            answer = MODEL.fit(X, None, params, seed, backend=NUMPY, progress=no_progress)
            monkeypatch.setattr(Means, "centroids", rightly)
            found = MODEL.check(X, None, params, seed, answer, rng=np.random.default_rng(seed))
            assert found.verdict == "accepted", (seed, found)


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_rare_in_a_small_table_is_not_left_out_of_its_starts(seed):
    X = make("sparse")[0]
    params, answer = fitted(MODEL, X, None, seed=seed, k=20)
    assert MODEL.present(X, None, params, answer)["inertia"] <= 1.02 * their_best_of_ten(X, 20)
