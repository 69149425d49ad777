"""The five estimators beside scikit-learn's own, every fit a job of a running sandbox."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.cluster
import sklearn.decomposition
import sklearn.linear_model
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from computenet_client import Network, Refused
from computenet_client.estimators import ESTIMATORS, PCA, KMeans, LinearRegression, LogisticRegression, Ridge, load
from computenet_client.job import Job

pytestmark = [pytest.mark.processes, pytest.mark.usefixtures("default_network")]
DIABETES, IRIS = load_diabetes(), load_iris()
X, Y = DIABETES.data, DIABETES.target
TWO = IRIS.target < 2


def fitted(name: str) -> Any:
    """One of the five, fitted on data that suit it."""
    estimator = ESTIMATORS[name](reward=1)
    if name == "KMeans":
        estimator.set_params(n_clusters=3)
    data = (X, Y) if name in ("LinearRegression", "Ridge") else (IRIS.data, IRIS.target)
    return estimator.fit(*data)


def said(estimator: Any, rows: np.ndarray) -> np.ndarray:
    return estimator.predict(rows) if hasattr(estimator, "predict") else estimator.transform(rows)


def test_regressions_are_scikit_learns() -> None:
    for ours, theirs in (
        (LinearRegression(reward=1), sklearn.linear_model.LinearRegression()),
        (Ridge(0.3, reward=1), sklearn.linear_model.Ridge(0.3)),
    ):
        ours.fit(X, Y)
        theirs.fit(X, Y)
        np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-7)
        assert ours.intercept_ == pytest.approx(theirs.intercept_, rel=1e-9)
        np.testing.assert_allclose(ours.predict(X[:7]), theirs.predict(X[:7]), rtol=1e-9)
        assert ours.score(X, Y) == pytest.approx(theirs.score(X, Y))


def test_logistic_regression_of_two_classes_is_scikit_learns() -> None:
    flowers, kinds = IRIS.data[TWO], IRIS.target_names[IRIS.target[TWO]]
    ours = LogisticRegression(C=0.5, reward=1).fit(flowers, kinds)
    theirs = sklearn.linear_model.LogisticRegression(C=0.5, tol=1e-8).fit(flowers, kinds)
    assert list(ours.classes_) == ["setosa", "versicolor"]
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-3)
    np.testing.assert_allclose(ours.predict_proba(flowers), theirs.predict_proba(flowers), atol=1e-3)
    np.testing.assert_array_equal(ours.predict(flowers), kinds)


def test_pca_is_scikit_learns() -> None:
    ours = PCA(3, reward=1).fit(X)
    theirs = sklearn.decomposition.PCA(3, svd_solver="full").fit(X)
    for name in ("components_", "explained_variance_", "explained_variance_ratio_", "singular_values_", "mean_"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-6, atol=1e-9, err_msg=name)
    assert ours.noise_variance_ == pytest.approx(theirs.noise_variance_)
    assert ours.score(X) == pytest.approx(theirs.score(X))
    np.testing.assert_allclose(ours.transform(X), theirs.transform(X), atol=1e-8)
    np.testing.assert_allclose(ours.inverse_transform(ours.transform(X)), theirs.inverse_transform(theirs.transform(X)))
    assert list(ours.get_feature_names_out()) == ["pca0", "pca1", "pca2"]


def test_k_means_finds_what_scikit_learn_finds() -> None:
    ours = KMeans(3, reward=1).fit(IRIS.data)
    theirs = sklearn.cluster.KMeans(3, n_init=10, random_state=0).fit(IRIS.data)
    assert ours.inertia_ == pytest.approx(theirs.inertia_, rel=1e-3)
    assert -ours.score(IRIS.data) == pytest.approx(ours.inertia_)
    np.testing.assert_array_equal(ours.predict(IRIS.data), ours.labels_)
    assert ours.transform(IRIS.data).shape == (150, 3)


def test_a_fit_with_a_random_state_is_the_same_job_again_and_paid_once(network: Network) -> None:
    rows = np.random.default_rng(3).normal(size=(100, 2))
    before = network.balance()
    first, again = (KMeans(4, random_state=5, reward=2).fit(rows) for _ in range(2))
    assert first.job_id_ == again.job_id_
    assert before - network.balance() == pytest.approx(2)
    assert KMeans(4, random_state=6, reward=2).fit(rows).job_id_ != first.job_id_
    assert KMeans(4, reward=2).fit(rows).job_id_ != first.job_id_


def test_they_drop_into_a_pipeline_and_a_grid_search() -> None:
    model = make_pipeline(StandardScaler(), PCA(5, reward=1), Ridge(reward=1))
    assert model.fit(X, Y).score(X, Y) > 0.4
    search = GridSearchCV(Ridge(reward=1), {"alpha": [0.01, 100.0]}, cv=2).fit(X, Y)
    assert search.best_params_ == {"alpha": 0.01}


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_a_model_is_restored_from_its_job_and_from_a_file(name: str, network: Network, tmp_path: Path) -> None:
    estimator = fitted(name)
    rows = X[:9] if estimator.n_features_in_ == X.shape[1] else IRIS.data[:9]
    restored = network.model(estimator.job_id_)
    assert type(restored) is type(estimator) and restored.n_features_in_ == estimator.n_features_in_
    np.testing.assert_array_equal(said(restored, rows), said(estimator, rows))
    estimator.save(tmp_path / "model.npz")
    loaded = load(tmp_path / "model.npz")
    np.testing.assert_array_equal(said(loaded, rows), said(estimator, rows))
    kept = {k: v for k, v in loaded.get_params().items() if k != "network"}
    assert kept == {k: v for k, v in estimator.get_params().items() if k != "network"}
    assert set(vars(loaded)) == set(vars(estimator))


def test_labels_that_are_text_survive_a_file(tmp_path: Path) -> None:
    kinds = IRIS.target_names[IRIS.target].astype(object)
    estimator = LogisticRegression(reward=1).fit(IRIS.data, kinds)
    estimator.save(tmp_path / "model.npz")
    np.testing.assert_array_equal(load(tmp_path / "model.npz").predict(IRIS.data), estimator.predict(IRIS.data))


def test_a_file_that_is_no_saved_estimator_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    fitted("Ridge").save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    meta = json.loads(np.load(_file(tmp_path, members["computenet.json.npy"])).tobytes())
    for change in (
        {"estimator": "os.system"},
        {"params": {"alpha": 1.0, "__class__": 1}},
        {"scalars": {**meta["scalars"], "fit": "gone"}},
        {"scalars": {}},
        {"format": 2},
    ):
        np.savez(
            path,
            **{"computenet.json": np.frombuffer(json.dumps(meta | change).encode(), dtype=np.uint8), "coef_": X[0]},
        )
        with pytest.raises(Refused, match="is not a saved estimator|newer version"):
            load(path)


def _file(folder: Path, content: bytes) -> Path:
    path = folder / "member.npy"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_sample_weights_are_refused_in_a_sentence(name: str) -> None:
    with pytest.raises(TypeError, match="The network weighs all rows alike: fit takes no sample_weight"):
        ESTIMATORS[name]().fit(X, Y, sample_weight=np.ones(len(X)))


def test_parameters_that_the_network_has_not_are_refused_before_a_job_is_made() -> None:
    with pytest.raises(ValueError, match="n_components must be None or a whole number"):
        PCA(0.9).fit(X)
    with pytest.raises(ValueError, match="random_state must be None or an int"):
        KMeans(random_state=np.random.RandomState(0)).fit(X)
    with pytest.raises(ValueError, match="one class only"):
        LogisticRegression().fit(X, np.zeros(len(X)))
    with pytest.raises(Refused, match="alpha must be at least 0"):
        Ridge(-1.0, reward=1).fit(X, Y)


def test_a_fit_that_is_interrupted_is_called_off(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: Job, *args: Any, **given: Any) -> Job:
        raise KeyboardInterrupt

    cancelled = []
    monkeypatch.setattr(Job, "wait", interrupted)
    monkeypatch.setattr(Job, "cancel", lambda self: cancelled.append(self.id))
    with pytest.raises(KeyboardInterrupt):
        Ridge(reward=1).fit(X, Y)
    assert len(cancelled) == 1


def test_a_clone_shares_the_network(network: Network) -> None:
    estimator = Ridge(network=network)
    assert clone(estimator).network is network
    assert clone(make_pipeline(StandardScaler(), estimator)).steps[1][1].network is network
