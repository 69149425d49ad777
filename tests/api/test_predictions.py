"""After the fit: the client's own table with the model's columns behind it, and predictions on new rows."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from marketplace import storage
from marketplace.actions import predictions
from marketplace.models import Job
from marketplace.tables.rows import Block, Stored
from tests import factories as make
from tests.actions.test_recipes import ROWS, bring, design, fitted, flats
from tests.api.calls import is_refused, npy

pytestmark = pytest.mark.django_db


def table(answer: Any) -> list[list[str]]:
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.reader(io.StringIO(b"".join(answer).decode())))


def predict(client: Client, job: Job, content: bytes | str, name: str = "new.csv") -> Any:
    file = SimpleUploadedFile(name, content if isinstance(content, bytes) else content.encode())
    return client.post(f"/job/{job.pk}/predict", {"file": file})


def exact(data: dict[str, Any]) -> np.ndarray:
    """Least squares on the flats without gaps: what each row would be told."""
    A = np.column_stack([design(data, slice(None)), np.ones(ROWS)])
    fit = ~data["gaps"]
    return A @ np.linalg.lstsq(A[fit], data["price"][fit], rcond=None)[0]


def test_the_own_table_comes_back_in_its_order_with_empty_cells_where_a_row_was_dropped(client: Client) -> None:
    job, _ = fitted("linear_regression", {"missing": "drop", "standardise": True}, target="price")
    text, data = flats()
    header, *rows = table(client.get(f"/job/{job.pk}/table"))
    assert header == ["area", "town", "rooms", "price", "prediction"]
    assert [row[:4] for row in rows] == [line.split(",") for line in text.splitlines()[1:]]
    assert [row[4] == "" for row in rows] == data["gaps"].tolist()
    told = np.array([float(row[4]) for row in rows if row[4]])
    np.testing.assert_allclose(told, exact(data)[~data["gaps"]], rtol=1e-6)


@pytest.mark.parametrize(
    ("model", "more", "names"),
    [
        ("kmeans_clustering", {"params": {"k": 3}}, ["cluster"]),
        ("pca_analysis", {"params": {"n_components": 2}}, ["component_0", "component_1"]),
        ("logistic_regression", {"target": "town"},
         ["prediction", "probability_Ahlen", "probability_Bonn", "probability_Köln"]),
    ],
)  # fmt: skip
def test_labels_components_and_classes_come_with_the_own_table_too(
    client: Client, model: str, more: dict[str, Any], names: list[str]
) -> None:
    job, result = fitted(model, {"missing": "mean", "standardise": True}, **more)
    header, *rows = table(client.get(f"/job/{job.pk}/table"))
    assert header == ["area", "town", "rooms", "price", *names] and len(rows) == ROWS
    if model == "kmeans_clustering":
        assert [int(row[4]) for row in rows] == result["labels"]
    elif model == "pca_analysis":
        np.testing.assert_allclose(np.array(rows)[:, 4:].astype(float), result["transformed_data"], atol=1e-9)
    else:
        assert [row[4] for row in rows] == [result["class_names"][int(code)] for code in result["predictions"]]
        np.testing.assert_allclose(np.array(rows)[:, 5:].astype(float), result["probabilities"], atol=1e-9)


def test_columns_that_are_added_to_the_own_table_have_names_that_nothing_else_has(client: Client) -> None:
    make.make_client(balance=100)
    make.make_worker(stake=1000)
    rows = "".join(f"{i},{(i * 7) % 5},{'x' if i % 3 else 'x_'}\n" for i in range(60))
    dataset = bring("probability_x,prediction,kind\n" + rows)
    job = make.make_job(model_type="logistic_regression", dataset=dataset.pk, target="kind", recipe={})
    job = make.run_to_end(job)
    header, *_ = table(client.get(f"/job/{job.pk}/table"))
    assert header[:3] == ["probability_x", "prediction", "kind"] and len(set(header)) == 6
    assert header[3:] == ["prediction_", "probability_x_", "probability_x__"]


def test_new_rows_are_told_by_the_same_recipe_in_any_order_of_columns(client: Client) -> None:
    job, result = fitted("linear_regression", {"missing": "drop", "standardise": True}, target="price")
    header, *rows = table(predict(client, job, "town,price,rooms,area\nKöln,,2,70.5\n Bonn ,1,3,\nAhlen,,1,50\n"))
    assert header == ["prediction"] and rows[1] == [""]
    b, c = np.array(result["coefficients"]), result["intercept"]
    for row, X in ((rows[0], [70.5, 0, 1, 2]), (rows[2], [50, 0, 0, 1])):
        assert float(row[0]) == pytest.approx(X @ b + c)


@pytest.mark.parametrize(
    ("content", "name", "sentence"),
    [
        ("town,rooms\nKöln,2\n", "new.csv", 'lack the column "area"'),
        ("area,town,rooms,floor\n70,Köln,2,1\n", "new.csv", 'have a column "floor"'),
        ("area,town,rooms\n70,Köln,2\n60,Trier,2\n", "new.csv", 'Row 2, column "town" holds a level'),
        ("area,town,rooms\n70,Köln,2\nlarge,Bonn,2\n", "new.csv", "Row 2, column \"area\" holds 'large'"),
        ("area,town,rooms\n", "new.csv", "no rows"),
        (npy(np.ones((2, 3))), "new.npy", "holds texts"),
        ("x", "new.xlsx", "must end in .csv, .parquet, .npy"),
    ],
)  # fmt: skip
def test_other_rows_are_refused_in_one_sentence_and_leave_nothing(
    client: Client, content: bytes | str, name: str, sentence: str
) -> None:
    job, _ = fitted("linear_regression", {"missing": "drop"}, target="price")
    assert sentence in is_refused(predict(client, job, content, name))
    assert list(storage.path("uploads", "00").parents[2].joinpath("incoming").iterdir()) == []


def test_new_rows_of_a_plain_job_are_an_array_or_a_table_by_name(client: Client) -> None:
    job, result = fitted("linear_regression", {}, columns=["rooms"], target="price")
    told = table(predict(client, job, npy(np.array([[2.0], [5.0]])), "new.npy"))[1:]
    b, c = result["coefficients"][0], result["intercept"]
    np.testing.assert_allclose(np.array(told).astype(float)[:, 0], [2 * b + c, 5 * b + c])
    assert table(predict(client, job, "rooms\n2\n5\n"))[1:] == told
    assert 'Row 2 has no value in column "rooms"' in is_refused(predict(client, job, "rooms,area\n2,1\n,1\n"))


def test_no_more_rows_are_told_at_a_time_than_the_network_computes_for_nothing(
    client: Client, settings: Any, tmp_path: Path
) -> None:
    """A million rows of one number are a few kB of Parquet."""
    job, _ = fitted("linear_regression", {}, columns=["rooms"], target="price")
    settings.MAX_MATRIX_CELLS = 11 * 5
    path = tmp_path / "new.parquet"
    pq.write_table(pa.table({"rooms": np.ones(1_000_000, np.int8)}), path, compression="zstd")
    assert path.stat().st_size < 20_000
    assert "5 are taken at a time" in is_refused(predict(client, job, path.read_bytes(), "new.parquet"))
    assert len(table(predict(client, job, npy(np.ones((5, 1))), "new.npy"))) == 6


def test_the_own_table_is_read_no_further_ahead_than_a_block_and_asks_nothing_of_the_database(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    make.make_client(balance=100)
    make.make_worker(stake=1000)
    rows, block = 9000, 500
    dataset = bring("a,b\n" + "".join(f"{i % 97},{3 * i}\n" for i in range(rows)))
    job = make.run_to_end(make.make_job(dataset=dataset.pk, target="b", recipe={}))
    monkeypatch.setattr("marketplace.tables.rows.BLOCK_CELLS", 2 * block)
    read, blocks = [0], Stored.blocks

    def counted(*given: Any) -> Iterator[Block]:
        for each in blocks(*given):
            assert len(each) <= block
            read[0] += len(each)
            yield each

    monkeypatch.setattr(Stored, "blocks", counted)
    answer, sent = client.get(f"/job/{job.pk}/table"), -1  # the header is no row
    with CaptureQueriesContext(connection) as asked:
        for lines in answer.streaming_content:
            sent += lines.count(b"\r\n")
            assert read[0] <= sent + block
    assert (sent, read[0], len(asked)) == (rows, rows, 0)


def test_predicting_keeps_no_connection_from_others(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    job, _ = fitted("linear_regression", {}, columns=["rooms"], target="price")
    order: list[tuple[str, int]] = []  # what happened, and how many statements had been sent by then
    told = predictions.told
    with CaptureQueriesContext(connection) as asked:
        given_back = SimpleNamespace(in_atomic_block=False, close=lambda: order.append(("given back", len(asked))))
        monkeypatch.setattr(predictions, "connection", given_back)
        monkeypatch.setattr(predictions, "told", lambda *given: (order.append(("told", len(asked))), told(*given))[1])
        predictions.predict(job=Job.objects.get(pk=job.pk), stream=io.BytesIO(b"rooms\n2\n"), filename="x.csv").close()
    assert order == [("given back", len(asked)), ("told", len(asked))] and len(asked) > 0


def test_a_job_that_has_no_result_tells_nothing(client: Client) -> None:
    job, _ = fitted("linear_regression", {}, columns=["rooms"], target="price")
    storage.path("answers", str(job.pk)).unlink()
    is_refused(client.get(f"/job/{job.pk}/table"), 404)
    is_refused(predict(client, job, "rooms\n2\n"), 404)
    is_refused(client.get("/job/00000000-0000-4000-8000-000000000000/table"), 404)
