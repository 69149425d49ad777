"""A result's page: pictures, tables, downloads, and what it says of what it left out."""

import csv
import io
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from marketplace import csv_files
from marketplace.dashboard import result_data
from marketplace.dashboard.result_pictures import plane
from marketplace.models import Job
from tests import factories
from tests.dashboard import cast
from tests.dashboard.test_pages import body

pytestmark = pytest.mark.django_db
CHARTS = {
    "kmeans_clustering": ["clusters", "sizes"],
    "pca_analysis": ["scree", "scores", "loadings-1", "loadings-2"],
    "linear_regression": ["against", "residuals", "coefficients"],
    "ridge_regression": ["against", "residuals", "coefficients"],
    "logistic_regression": ["confusion", "coefficients-1", "coefficients-2", "coefficients-3"],
}


def a_result(model_type: str, **params: Any) -> Job:
    cast.a_worker("worker_rtx")
    cast.a_client("alice")
    X = np.array(factories.rows(90, 4))
    data: dict[str, Any] = {"X": X.tolist()}
    if "regression" in model_type:
        y = X @ [1.0, -2.0, 0.5, 0.0]
        data["y"] = (np.digitize(y, [-1, 1]).astype(float) if "logistic" in model_type else y).tolist()
    return factories.run_to_end(factories.make_job(model_type=model_type, data=data, params=params))


def lines(client: Any, path: str) -> list[list[str]]:
    response = client.get(path)
    assert response.status_code == 200 and "attachment" in response.headers["Content-Disposition"]
    return list(csv.reader(io.StringIO(b"".join(response.streaming_content).decode())))


def test_a_clustering_says_how_many_steps_were_on_what(client):
    job = a_result("kmeans_clustering", n_init=3)
    html = body(client, f"/dashboard/jobs/{job.pk}/result/")
    begun, steps = (job.scalars[name] for name in ("start_iterations", "iterations"))
    assert f"The best of 3 starts took {begun} step" in html and f"from its centres, {steps} step" in html
    assert "on all rows" in html and "steps of the best start</dt>" in html


def test_the_intercept_has_a_standard_error_and_what_is_unknown_says_why(client):
    job = a_result("linear_regression")
    path = f"/dashboard/jobs/{job.pk}/result/"
    [row] = [row for row in lines(client, f"{path}coefficients.csv") if row[0] == "(intercept)"]
    assert float(row[2]) == pytest.approx(job.scalars["intercept_standard_error"])
    assert "A standard error is unknown" not in body(client, path)
    data = {"X": [[x, 2 * x + 5] for x in range(20)], "y": [x % 7 for x in range(20)]}
    other = factories.run_to_end(factories.make_job(model_type="linear_regression", data=data))
    html = body(client, f"/dashboard/jobs/{other.pk}/result/")
    assert html.count(">unknown<") == 3 and "A standard error is unknown where" in html


@pytest.mark.parametrize("model_type", CHARTS)
def test_every_model_has_its_pictures_on_the_page_and_as_files(client, model_type):
    job = a_result(model_type)
    path = f"/dashboard/jobs/{job.pk}/result/"
    html = body(client, path)
    for name in CHARTS[model_type]:
        assert f'id="chart-{name}"' in html
        document = client.get(f"{path}{name}.svg")
        assert document.headers["Content-Type"].startswith("image/svg+xml")
        ElementTree.fromstring(document.content)
    assert html.count("<figure") == len(CHARTS[model_type])
    assert "Why you can rely on it" in html and "Chance of being fooled" in html
    assert " style=" not in html and "<style" not in html
    assert client.get(f"{path}nothing.svg").status_code == 404
    assert client.get(f"{path}nothing.csv").status_code == 404


def test_a_regressions_rows_add_up_to_its_data(client):
    job = a_result("linear_regression")
    path = f"/dashboard/jobs/{job.pk}/result/"
    header, *rows = lines(client, f"{path}rows.csv")
    assert header == ["row", "actual y", "predicted"] and len(rows) == 90
    assert all(abs(float(actual) - float(predicted)) < 1e-6 for _, actual, predicted in rows)
    header, intercept, *rows = lines(client, f"{path}coefficients.csv")
    assert header == ["column", "coefficient", "standard error"] and intercept[0] == "(intercept)"
    assert [round(float(row[1]), 6) for row in rows] == [1.0, -2.0, 0.5, 0.0]


def test_clusters_are_listed_with_their_centres(client):
    job = a_result("kmeans_clustering", k=3)
    path = f"/dashboard/jobs/{job.pk}/result/"
    _, *rows = lines(client, f"{path}rows.csv")
    header, *centres = lines(client, f"{path}centres.csv")
    assert header[:2] == ["cluster", "rows"] and [int(c[1]) for c in centres] == [
        sum(int(row[1]) == i for row in rows) for i in range(3)
    ]


def test_a_large_result_is_drawn_from_a_seeded_sample_and_says_so(client, monkeypatch):
    monkeypatch.setattr(result_data, "DRAWN", 40)
    fitted = result_data.Fitted.of(a_result("pca_analysis"))
    first, second = fitted.sample(40), fitted.sample(40)
    assert len(first) == 40 and (first == second).all() and len(set(first.tolist())) == 40
    assert "40 of 90 rows are drawn, chosen at random with seed 0." in body(
        client, f"/dashboard/jobs/{fitted.job.pk}/result/"
    )


def test_a_job_without_a_result_leads_to_its_page(client):
    job = cast.a_job(cast.a_client())
    response = client.get(f"/dashboard/jobs/{job.pk}/result/")
    assert response.status_code == 302 and response.headers["Location"] == f"/dashboard/jobs/{job.pk}/"
    assert client.get(f"/dashboard/jobs/{job.pk}/result/rows.csv").status_code == 404


def test_rows_are_projected_onto_the_directions_in_which_they_vary_most():
    rng = np.random.default_rng(1)
    basis = np.linalg.qr(rng.normal(size=(6, 2)))[0]
    X = rng.normal(size=(50, 2)) * [10, 3] @ basis.T * 1e160
    flat, centres, _, how = plane(X, X[:2], list("abcdef"))
    assert "100 % of their variance" in how
    gaps = np.linalg.norm(X[:, None] / 1e160 - X / 1e160, axis=2)
    assert np.allclose(np.linalg.norm(flat[:, None] / 1e160 - flat / 1e160, axis=2), gaps, atol=1e-6)
    assert np.allclose(centres / 1e160, flat[:2] / 1e160)


def test_text_that_a_spreadsheet_would_run_is_quoted_and_numbers_are_not():
    rows = [["=1+1", "+a", "-b", "@c", "\td", "plain"], [-1.5, "-1.5e3", None, "", "a=b", "x,y"]]
    found = list(csv.reader(io.StringIO(b"".join(csv_files.lines(["=h"], rows)).decode())))
    assert found == [["'=h"], ["'=1+1", "'+a", "'-b", "'@c", "'\td", "plain"], ["-1.5", "-1.5e3", "", "", "a=b", "x,y"]]
