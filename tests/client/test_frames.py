"""Frames with categories and gaps: how they are written, fitted, and told of new rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from computenet_client import Network, Refused
from computenet_client.data import prepared
from computenet_client.frames import Table, has_categories
from tests.client.frames import Frame

ROWS = 60


class Category(list[Any]):
    """A column of a type of categories, as pandas has it."""

    dtype = "category"


def flats() -> Frame:
    rng = np.random.default_rng(3)
    area, town = rng.normal(80, 20, ROWS), rng.integers(0, 3, ROWS)
    price = 3 * area + 20 * town + rng.normal(0, 1, ROWS)
    area[7] = np.nan
    return Frame(
        area=area, town=[["Ahlen", "Bonn", "Köln"][i] for i in town], floor=Category([*(town + 1)]), price=price
    )


def written(frame: Frame, y: Any = None, chosen: Any = None) -> str:
    with prepared(frame, y, chosen, as_table=True) as file:
        return file.file.read().decode()


def test_a_large_frames_job_waits_for_its_matrix(network: Network) -> None:
    rng = np.random.default_rng(4)
    frame = Frame(area=(area := rng.normal(size=2000)), town=["Ahlen", "Bonn"] * 1000, price=3 * area)
    asked: dict[str, Any] = {"target": "price", "recipe": {"standardise": True}}
    quoted = network.quote("linear", frame, **asked)
    assert (quoted["matrix_ready"], quoted["rows"], quoted["features"]) == (False, 2000, None)
    job = network.submit("linear", frame, reward=5, **asked).wait(60, progress=False)
    np.testing.assert_allclose(job.result()["coefficients"], [3, 0], atol=1e-9)
    assert job.info["preparing"] is None
    assert network.quote("linear", frame, **asked)["features"] == 2


def test_numbers_are_written_exactly_and_gaps_as_empty_cells() -> None:
    frame = Frame(a=[0.1, float("nan"), 1e300], b=["x,y", None, 'q"'], c=[True, False, True], d=np.arange(3))
    assert written(frame) == 'a,b,c,d\n0.1,"x,y",1,0\n,,0,1\n1e+300,"q""",1,2\n'
    assert written(frame, [1.5, 2, 3], ["d", "a"]) == "d,a,y\n0,0.1,1.5\n1,,2\n2,1e+300,3\n"
    assert written(Frame(**{"0": [1], "1": [2]})) == "column_0,column_1\n1,2\n"


def test_categories_go_by_themselves_and_text_where_a_recipe_is_given() -> None:
    frame = Frame(area=[1.0, None], town=["Bonn", None], floor=Category([1, 2]))
    assert has_categories(frame, ["area", "floor"]) and not has_categories(frame, ["area"])
    assert not has_categories(frame)  # text is sent only where that is said
    assert Table.of(frame).categories == ("floor",)


def test_a_frame_with_categories_goes_in_and_names_come_out(network: Network, tmp_path: Path) -> None:
    frame = flats()
    job = network.submit(
        "linear", frame, target="price", columns=["area", "town", "floor"], recipe={"missing": "mean"}, reward=5
    ).wait(60, progress=False)
    result = job.result()
    assert result["features"] == ["area", "town=Bonn", "town=Köln", "floor=2", "floor=3"]
    assert job.columns() == ["area", "town", "floor"]
    filled = np.where(np.isnan(frame.data["area"]), np.nanmean(frame.data["area"]), frame.data["area"])
    hot = [np.array(frame.data["town"]) == name for name in ("Bonn", "Köln")]
    told = job.predict(Frame(**{name: frame.data[name] for name in ("floor", "town", "area")}))
    X = np.column_stack([filled, *hot, *hot]).astype(float)  # floors go with towns here
    np.testing.assert_allclose(told["prediction"], X @ result["coefficients"] + result["intercept"])
    lines = job.save_table(tmp_path / "told.csv").read_text().splitlines()
    assert lines[0] == "area,town,floor,price,prediction" and len(lines) == ROWS + 1
    assert "The data are those that the job names." in job.receipt(
        frame, target="price", columns=["area", "town", "floor"]
    )["checked_here"]  # fmt: skip
    with pytest.raises(Refused, match='have a column "garden"'):
        job.predict(Frame(area=[1.0], town=["Bonn"], floor=[1], garden=[2]))
    with pytest.raises(Refused, match=r"use job\.predict"):
        network.model(job.id)


def test_classes_of_text_come_out_as_text(network: Network) -> None:
    frame = flats()
    job = network.submit(
        "logistic", frame, target="town", columns=["area", "price"], recipe={"missing": "drop"}, reward=5
    )
    job.wait(60, progress=False)
    told = job.predict(Frame(area=[80.0, None], price=[240.0, 1.0]))
    assert told["prediction"].tolist()[0] in ("Ahlen", "Bonn", "Köln") and told["prediction"].tolist()[1] == ""
    assert np.isnan(told["probability_Köln"][1]) and sorted(told) == [
        "prediction", "probability_Ahlen", "probability_Bonn", "probability_Köln",
    ]  # fmt: skip
