"""Parameters are cleaned or refused in one sentence, and shapes that cannot work are refused before money is held."""

import numpy as np
import pytest

from workers.catalog import MODELS
from workers.catalog.base import AnswerError, headers
from workers.catalog.parameters import ParameterError

KMEANS = MODELS["kmeans_clustering"]


def test_catalogue_holds_each_model_under_its_own_name():
    assert {"linear_regression", "kmeans_clustering", "pca_analysis"} <= set(MODELS)
    for name, model in MODELS.items():
        assert model.name == name
        assert model.title
        assert model.help.endswith(".")


def test_seeds_result_names_are_kept():
    assert [MODELS[name].result_name for name in ("linear_regression", "kmeans_clustering", "pca_analysis")] == [
        "linear_regression",
        "kmeans",
        "pca",
    ]


def test_defaults_are_filled_in():
    assert KMEANS.clean({}) == {"k": 3, "n_init": 10, "max_iter": 300, "tol": 1e-4}
    assert MODELS["linear_regression"].clean({}) == {}


def test_whole_float_is_taken_for_an_integer_and_an_integer_for_a_float():
    cleaned = KMEANS.clean({"k": 4.0, "tol": 0})
    assert (cleaned["k"], type(cleaned["k"])) == (4, int)
    assert (cleaned["tol"], type(cleaned["tol"])) == (0.0, float)


@pytest.mark.parametrize(
    "given",
    [
        {"clusters": 3},
        {"k": True},
        {"k": "3"},
        {"k": None},
        {"k": 2.5},
        {"k": 0},
        {"k": 10**400},
        {"k": float("nan")},
        {"k": float("inf")},
        {"tol": -1e-9},
        {"tol": [0.1]},
        {"k": 3, 7: 1},
    ],
)
def test_wrong_parameters_are_refused_in_one_sentence(given):
    with pytest.raises(ParameterError) as refusal:
        KMEANS.clean(given)
    assert str(refusal.value).endswith(".")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "given", "rows", "features"),
    [
        ("linear_regression", {}, 1, 3),
        ("linear_regression", {}, 10, 0),
        ("linear_regression", {}, 10, 10**6),
        ("ridge_regression", {}, 1, 3),
        ("logistic_regression", {}, 1, 3),
        ("kmeans_clustering", {"k": 11}, 10, 2),
        ("kmeans_clustering", {}, 10, 0),
        ("pca_analysis", {"n_components": 4}, 10, 3),
        ("pca_analysis", {"n_components": 4}, 3, 10),
        ("pca_analysis", {}, 1, 10),
        ("pca_analysis", {}, 10**5, 10**5),
    ],
)
def test_shapes_that_cannot_work_are_refused(name, given, rows, features):
    model = MODELS[name]
    with pytest.raises(ParameterError):
        model.validate(model.clean(given), rows, features)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_quote_grows_with_the_data_and_sizes_are_bounded(name):
    model = MODELS[name]
    params = model.clean({})
    assert 0 < model.operations(params, 100, 5) < model.operations(params, 10_000, 50)
    specs = model.answer_shapes(params, 100, 5)
    assert model.answer_bytes_max(params, 100, 5) == sum(spec.bytes_max for spec in specs.values()) > 0


def test_lengths_of_one_name_must_agree():
    params = KMEANS.clean({})
    shapes = {"changes": (4,), "rows": (7,), "labels": (7,), "centroids": (4, 3, 2)}
    found = {
        "best": ("int64", ()),
        "start_rows": ("uint32", (10, 3)),
        "pilot_steps": ("int64", (10,)),
        "pilot_changes": ("int64", (20,)),
        "pilot_rows": ("uint32", (30,)),
        "pilot_labels": ("uint16", (30,)),
        "changes": ("int64", shapes["changes"]),
        "rows": ("uint32", shapes["rows"]),
        "labels": ("uint16", shapes["labels"]),
        "centroids": ("float64", shapes["centroids"]),
    }
    KMEANS.refuse_misfit(params, 50, 2, found)
    for name, wrong in (
        ("labels", ("uint16", (8,))),
        ("centroids", ("float64", (5, 3, 2))),
        ("changes", ("int64", (301,))),
        ("rows", ("uint64", (7,))),
        ("pilot_rows", ("uint32", (10**9,))),
    ):
        with pytest.raises(AnswerError):
            KMEANS.refuse_misfit(params, 50, 2, found | {name: wrong})
    with pytest.raises(AnswerError):
        KMEANS.refuse_misfit(params, 50, 2, found | {"inertia": ("float64", ())})


def test_headers_are_those_of_the_arrays():
    assert headers({"a": np.zeros((2, 3), dtype=np.uint16)}) == {"a": ("uint16", (2, 3))}
