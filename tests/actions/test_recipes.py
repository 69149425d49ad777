"""Jobs with a recipe: the whole way from a messy table to a result in its own units."""

import hashlib
import io
from typing import Any

import numpy as np
import pytest

from computenet_client.cli.shared import in_options
from marketplace import storage
from marketplace.actions import assignments, datasets, results
from marketplace.actions.matrices import layout_of
from marketplace.actions.quotes import quote
from marketplace.actions.submissions import submission_of
from marketplace.domain.errors import NotFound, Refused
from marketplace.domain.recipes import gap_refused
from marketplace.models import Dataset, Job, Matrix
from tests import factories as make

pytestmark = pytest.mark.django_db

ROWS = 240


def flats() -> tuple[str, dict[str, Any]]:
    """A table with categories and gaps as CSV, and its columns."""
    rng = np.random.default_rng(5)
    area, rooms = rng.normal(80, 20, ROWS).round(1), rng.integers(1, 6, ROWS)
    town = np.array(["Ahlen", "Bonn", "Köln"])[rng.integers(0, 3, ROWS)]
    price = (3.1 * area + 12.0 * rooms + np.select([town == "Bonn", town == "Köln"], [40.0, 90.0])).round(3)
    price = price + rng.normal(0, 1, ROWS).round(3)
    gaps = np.arange(ROWS) % 20 == 7
    lines = (f"{'' if gap else a},{t},{r},{p}" for a, t, r, p, gap in zip(area, town, rooms, price, gaps, strict=True))
    text = "area,town,rooms,price\n" + "\n".join(lines) + "\n"
    return text, {"area": area, "town": town, "rooms": rooms, "price": price, "gaps": gaps}


def bring(text: str) -> Dataset:
    return datasets.store_upload(stream=io.BytesIO(text.encode()), filename="flats.csv", user=None)


def fitted(model: str, recipe: dict[str, Any], **more: Any) -> tuple[Job, dict[str, Any]]:
    """A job on the flats, done by an honest worker, and its result."""
    make.make_client(balance=10_000)
    make.make_worker(stake=10_000)
    dataset = bring(flats()[0])
    job = make.make_job(model_type=model, dataset=dataset.pk, recipe=recipe, **more)
    job = make.run_to_end(job)
    assert job.state == "verified", job.reason
    return job, results.read_result(job=job, limit=None)


def design(data: dict[str, Any], rows: Any) -> np.ndarray:
    """X as the flats' regression has it: area, two of the three towns, rooms."""
    hot = [(data["town"] == name).astype(float) for name in ("Bonn", "Köln")]
    return np.column_stack([data["area"], *hot, data["rooms"]])[rows]


@pytest.mark.parametrize("standardise", [False, True])
def test_coefficients_are_named_and_in_the_tables_own_units(standardise):
    job, result = fitted("linear_regression", {"missing": "drop", "standardise": standardise}, target="price")
    _, data = flats()
    X, y = design(data, ~data["gaps"]), data["price"][~data["gaps"]]
    A = np.column_stack([X, np.ones(len(X))])
    exact, *_ = np.linalg.lstsq(A, y, rcond=None)
    np.testing.assert_allclose([*result["coefficients"], result["intercept"]], exact, rtol=1e-6)
    rest = y - A @ exact
    errors = np.sqrt(np.diag(np.linalg.inv(A.T @ A)) * (rest @ rest) / (len(A) - 5))[:4]
    np.testing.assert_allclose(result["standard_errors"], errors, rtol=1e-6)
    assert result["features"] == ["area", "town=Bonn", "town=Köln", "rooms"]
    assert job.matrix is not None and (job.matrix.rows, job.matrix.dropped) == (228, 12)


def test_centres_are_in_the_tables_own_units():
    job, result = fitted("kmeans_clustering", {"missing": "mean", "standardise": True}, params={"k": 3})
    _, data = flats()
    filled = np.where(data["gaps"], data["area"][~data["gaps"]].mean(), data["area"])
    hot = [(data["town"] == name).astype(float) for name in ("Ahlen", "Bonn", "Köln")]
    X = np.column_stack([filled, *hot, data["rooms"], data["price"]])
    labels = np.array(result["labels"])
    for cluster, centre in enumerate(result["centroids"]):
        np.testing.assert_allclose(centre, X[labels == cluster].mean(axis=0), rtol=1e-6, atol=1e-9)
    assert result["features"] == ["area", "town=Ahlen", "town=Bonn", "town=Köln", "rooms", "price"]


def test_components_say_what_each_column_was_divided_by():
    _, result = fitted(
        "pca_analysis", {"missing": "drop", "standardise": True}, columns=["area", "rooms"], params={"n_components": 2}
    )
    _, data = flats()
    X = np.column_stack([data["area"], data["rooms"]])[~data["gaps"]]
    np.testing.assert_allclose(result["mean"], X.mean(axis=0))
    np.testing.assert_allclose(result["scale"], X.std(axis=0))
    moved = (X - result["mean"]) / result["scale"] @ np.array(result["components"]).T
    np.testing.assert_allclose(result["transformed_data"], moved, atol=1e-9)


def test_classes_are_named():
    _, result = fitted("logistic_regression", {"missing": "drop", "standardise": True}, target="town")
    assert result["class_names"] == ["Ahlen", "Bonn", "Köln"] and result["classes"] == [0, 1, 2]
    _, data = flats()
    X = np.column_stack([data["area"], data["rooms"], data["price"]])[~data["gaps"]]
    z = X @ np.array(result["coefficients"]).T + result["intercept"]
    np.testing.assert_array_equal(z.argmax(axis=1), result["predictions"])


def test_a_holdout_is_scored_by_rows_that_the_fit_did_not_see():
    recipe = {"missing": "drop", "standardise": True, "holdout": 0.25, "seed": 1}
    job, result = fitted("linear_regression", recipe, target="price")
    assert job.matrix is not None
    _, data = flats()
    held = (np.random.default_rng(1).random(ROWS) < 0.25) & ~data["gaps"]
    assert result["holdout_rows"] == job.matrix.held_out == held.sum()
    X, y = design(data, slice(None)), data["price"]
    fit = ~held & ~data["gaps"]
    exact, *_ = np.linalg.lstsq(np.column_stack([X, np.ones(ROWS)])[fit], y[fit], rcond=None)
    rest = (y - np.column_stack([X, np.ones(ROWS)]) @ exact)[held]
    assert result["holdout_rmse"] == pytest.approx(np.sqrt(np.mean(rest**2)), rel=1e-5)
    assert result["holdout_r2"] == pytest.approx(1 - rest @ rest / ((y[held] - y[held].mean()) ** 2).sum(), rel=1e-6)


def test_the_same_recipe_is_made_once_and_another_again():
    make.make_client(balance=10_000)
    dataset = bring(flats()[0])
    one, same, other = (
        make.make_job(dataset=dataset.pk, target="price", recipe={"missing": how}) for how in ("drop", "drop", "mean")
    )
    assert one.matrix_id == same.matrix_id != other.matrix_id
    assert Matrix.objects.count() == 2
    again = submission_of(one)
    assert make.make_job(dataset=again.dataset, target=again.target, recipe=again.recipe).matrix == one.matrix


def test_a_machine_gets_the_matrix_of_the_recipe_and_neither_a_name_nor_the_rest_of_the_table():
    make.make_client(balance=10_000)
    worker = make.make_worker(stake=10_000)
    dataset = bring(flats()[0])
    job = make.make_job(dataset=dataset.pk, target="price", columns=["area", "town"], recipe={"missing": "drop"})
    assignment = make.assign(job)
    said = assignments.start(machine=worker, assignment_id=assignment.pk)
    assert said["matrix"]["columns"] == 4 and said["matrix"]["rows"] == 228
    path = assignments.readable_matrix(machine=worker, sha256=said["matrix"]["sha256"])
    assert hashlib.sha256(path.read_bytes()).hexdigest() == said["matrix"]["sha256"]
    sent = path.read_bytes() + repr(said).encode()
    for name in ("area", "town", "rooms", "price", "Bonn", "Köln", "flats", "alice", dataset.pk):
        assert name.encode() not in sent, name
    with pytest.raises(NotFound):
        assignments.readable_matrix(machine=worker, sha256=dataset.matrix_sha256)


def test_a_quote_counts_the_rows_and_columns_that_the_recipe_leaves():
    make.make_client()
    dataset = bring(flats()[0])
    asked = make.Submission(
        client_address="alice", model_type="linear_regression", dataset=dataset.pk, target="price",
        recipe={"missing": "drop"},
    )  # fmt: skip
    found = quote(submission=asked, user=None)
    assert (found["rows"], found["features"]) == (228, 4)
    assert not Matrix.objects.exists()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"recipe": {}}, 'Row 8 has no value in column "area"'),
        ({"recipe": {"missing": "ignore"}}, "recipe.missing must be one of refuse, drop, mean"),
        ({"recipe": {"median": True}}, "recipe has no field 'median'"),
        ({"recipe": {"categories": ["colour"]}}, '"colour", which is none of the columns'),
        ({"recipe": {"missing": "drop"}, "target": "town"}, '"town" is text and cannot be the target of a linear'),
        ({"recipe": {"holdout": 0.6}}, "recipe.holdout must be a share"),
    ],
)
def test_a_recipe_that_cannot_be_done_is_refused_and_nothing_is_held(more, sentence):
    make.make_client()
    dataset = bring(flats()[0])
    with pytest.raises(Refused, match=sentence):
        make.make_job(dataset=dataset.pk, **({"target": "price"} | more))
    assert not Matrix.objects.exists() and not Job.objects.exists()
    folder = storage.path("matrices", dataset.matrix_sha256).parent.parent.parent / "incoming"
    assert list(folder.iterdir()) == []


def test_what_is_refused_is_said_in_the_commands_own_options():
    assert in_options(str(gap_refused(8, "area"))) == (
        'Row 8 has no value in column "area": fill it, leave the column out with --columns, or set --missing to "drop" '
        'or "mean".'
    )


@pytest.mark.parametrize(
    ("text", "target", "of"),
    [
        ("town=Bonn,town,price\n1,Bonn,2\n2,Köln,3\n3,Bonn,5\n4,Ahlen,4\n", "price", '"town" and "town=Bonn"'),
        ("town=Bonn,town,price\n1,Bonn,2\n2,Köln,3\n3,Bonn,5\n4,Ahlen,4\n", "town=Bonn", '"town" and "town=Bonn"'),
        ("town,price\n(missing),2\n,3\nBonn,4\n", "price", '"town"'),
    ],
)
def test_two_features_that_would_share_a_name_are_refused(text: str, target: str, of: str) -> None:
    make.make_client()
    with pytest.raises(Refused, match=f'made of {of}, would be named "town=(Bonn|.missing.)": rename a column'):
        make.make_job(dataset=bring(text).pk, target=target, recipe={"missing": "mean", "first_level": "keep"})
    assert not Matrix.objects.exists()


def test_a_job_without_a_recipe_says_its_columns_by_the_same_words():
    make.make_client()
    job = make.make_job(dataset=bring("a,b,c\n1,2,3\n3,5,4\n4,1,9\n7,2,2\n").pk, columns=["b"], target="c")
    assert layout_of(job).recipe.document == {
        "columns": ["b"], "target": "c", "categories": [], "missing": "refuse", "standardise": False,
        "first_level": "keep", "holdout": 0.0, "seed": 0,
    }  # fmt: skip
