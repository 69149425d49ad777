"""Predictions computed by the client alone, beside scikit-learn's; and reading the rows that they are made for."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import pairwise_distances_argmin
from sklearn.multiclass import OneVsRestClassifier

from computenet_client import Refused, predictions
from computenet_client.tables import read_table


def test_the_nearest_centre_is_scikit_learns_also_far_from_the_origin() -> None:
    rng = np.random.default_rng(1)
    X, centres = rng.normal(size=(5000, 7)), rng.normal(size=(30, 7))
    expected = pairwise_distances_argmin(X, centres)
    np.testing.assert_array_equal(predictions.nearest(X, centres), expected)
    assert (predictions.nearest(X + 1e7, centres + 1e7) == expected).mean() > 0.9999


@pytest.mark.parametrize("classes", [2, 4])
def test_class_probabilities_are_scikit_learns(classes: int) -> None:
    rng = np.random.default_rng(2)
    X = rng.normal(size=(200, 3))
    y = (X @ rng.normal(size=3) > np.quantile(X[:, 0], np.arange(1, classes) / classes)[:, None]).sum(axis=0)
    reference = OneVsRestClassifier(LogisticRegression()).fit(X, y) if classes > 2 else LogisticRegression().fit(X, y)
    fits = reference.estimators_ if classes > 2 else [reference]
    scores = predictions.class_scores(
        X, np.vstack([fit.coef_ for fit in fits]), np.concatenate([fit.intercept_ for fit in fits])
    )
    np.testing.assert_allclose(predictions.class_probabilities(scores), reference.predict_proba(X), rtol=1e-12)
    np.testing.assert_array_equal(reference.classes_[predictions.best_class(scores)], reference.predict(X))


def test_probabilities_stay_such_where_scores_are_extreme() -> None:
    scores = np.array([[-1e4, -1e4, -1e4], [1e4, -1e4, 0.0]])
    found = predictions.class_probabilities(scores)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    np.testing.assert_allclose(found[0], 1 / 3)


FLATS = "price;city;area;rooms\n245000;Bonn;70;2\n290000;Bonn;90;3\n"


def flats(folder: Path, text: str = FLATS) -> Path:
    path = folder / "flats.csv"
    path.write_text(text)
    return path


def test_columns_are_found_by_the_names_that_the_model_was_fitted_on(tmp_path: Path) -> None:
    found = read_table(flats(tmp_path), None, 2, ["rooms", "area"])
    np.testing.assert_array_equal(found, [[2.0, 70.0], [3.0, 90.0]])


def test_columns_that_are_named_go_before_those_that_are_known(tmp_path: Path) -> None:
    found = read_table(flats(tmp_path), ["price", 3], 2, ["rooms", "area"])
    np.testing.assert_array_equal(found, [[245000.0, 2.0], [290000.0, 3.0]])


def test_a_table_without_a_header_and_arrays_are_taken_by_place(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_table(flats(tmp_path, "1,2\n3,4\n"), None, 2), [[1, 2], [3, 4]])
    np.save(tmp_path / "rows.npy", [[1, 2], [3, 4]])
    np.testing.assert_array_equal(read_table(tmp_path / "rows.npy", [1], 1), [[2.0], [4.0]])


@pytest.mark.parametrize(
    ("text", "columns", "sentence"),
    [
        (FLATS, None, "takes 2 columns and flats.csv would give it 4"),
        (FLATS, ["area", "city"], "Row 1, column \"city\" holds 'Bonn'"),
        (FLATS, ["area", "garden"], "There is no column 'garden'"),
        ("a,b\n1\n", None, "not equally long"),
        ("a,b\n", None, "has no rows"),
        ("", None, "is empty"),
        ("a,b\n1,inf\n", None, "no finite numbers"),
    ],
)
def test_rows_that_the_model_cannot_take_are_refused(
    tmp_path: Path, text: str, columns: list[str | int] | None, sentence: str
) -> None:
    with pytest.raises(Refused, match=sentence):
        read_table(flats(tmp_path, text), columns, 2)
