"""Charts: well-formed, described, escaped, and within their picture whatever the numbers."""

import math
import re
from xml.etree import ElementTree

import pytest
from django.template.loader import render_to_string

from marketplace.dashboard import charts_kinds as kinds
from marketplace.dashboard.charts import Axis, Chart, clip, short

WORDS = kinds.Words("it", "A <title>", "Says & shows.", "across", "up", "400 of 1,000 were drawn.")
SVG = "{http://www.w3.org/2000/svg}"
POINTS = [(0.0, 1.0), (2.5, -3.0), (1e6, 8.0)]
EVERY = [
    kinds.scatter(WORDS, [("a", POINTS), ("b<", [(1.0, 1.0)])], [(3.0, 2.0)]),
    kinds.scatter(WORDS, [("all", [(5.0, 5.0)])]),
    kinds.line(WORDS, POINTS, steps=True),
    kinds.line(WORDS, [(0, 1.0), (1, 2.0)], labels=["Monday", "Tuesday"]),
    kinds.columns(WORDS, ["a", "b"], [0.7, 0.3], [0.7, 1.0]),
    kinds.bars(WORDS, ["x" * 50, "y"], [-2.0, 1e-9], [0.5, 1e-10]),
    kinds.against(WORDS, [(1e300, 1e300), (-1e300, 1.0)]),
    kinds.residuals(WORDS, [(1.0, 0.0)]),
    kinds.grid(WORDS, ["0", "1"], [[5, 1], [0, 7]]),
    kinds.timeline(WORDS, [("waiting", 0.0, 0.2, "wait"), ("computing", 0.2, 7200.0, "work")]),
    kinds.sparkline(WORDS, ["1", "2", "3"], [0.0, 5.0, 2.0]),
    kinds.sparkline(WORDS, [], []),
]


@pytest.mark.parametrize("chart", EVERY, ids=lambda chart: f"{len(chart.body)} characters")
def test_a_chart_has_a_title_a_description_its_data_and_no_style(chart: Chart) -> None:
    root = ElementTree.fromstring(chart.svg)
    assert root.attrib["role"] == "img"
    assert root.findtext(f"{SVG}title") == "A <title>" and root.findtext(f"{SVG}desc") == "Says & shows."
    labelled = root.attrib["aria-labelledby"].split()
    assert labelled == [root.find(f"{SVG}title").attrib["id"], root.find(f"{SVG}desc").attrib["id"]]  # type: ignore[union-attr]
    html = render_to_string("dashboard/_chart.html", {"chart": chart})
    assert html.count("<tr>") == 1 + len(chart.rows) and "<caption" in html
    assert " style=" not in html and "<style" not in html and "<script" not in html


@pytest.mark.parametrize("chart", EVERY, ids=lambda chart: f"{len(chart.body)} characters")
def test_everything_is_drawn_inside_the_picture(chart: Chart) -> None:
    for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", chart.body):
        assert -1 <= float(x) <= chart.width + 1 and -1 <= float(y) <= chart.height + 1
    assert "nan" not in chart.body and "inf" not in chart.body


def test_a_file_of_its_own_carries_its_colours() -> None:
    assert "<style>" in EVERY[0].document
    ElementTree.fromstring(EVERY[0].document.encode())


@pytest.mark.parametrize(
    "values", [[], [3.0], [-1e-300, 1e-300], [1e15, 1e15 + 1], [-5.0, 5.0], [0.0, 0.0], [math.nan, 1.0]]
)
def test_an_axis_holds_all_its_values_and_some_round_numbers(values: list[float]) -> None:
    axis = Axis(values)
    finite = [value for value in values if math.isfinite(value)]
    assert axis.low < axis.high and 2 <= len(axis.at) <= 12
    assert all(axis.low <= value <= axis.high for value in axis.at)
    assert all(0 <= axis.share(value) <= 1 for value in finite)


def test_long_names_that_differ_at_their_end_stay_different() -> None:
    assert [clip(f"measurement_of_sensor_{i}", 12) for i in "12"] == ["measur…sor_1", "measur…sor_2"]
    assert [clip("abcdef", width) for width in (1, 2, 3, 6)] == ["…", "a…", "a…f", "abcdef"]


def test_numbers_on_axes_are_short() -> None:
    assert [short(v) for v in (0, 0.25, 1200, -3e9, 1e-7, 1e300)] == ["0", "0.25", "1.2k", "-3G", "1e-07", "1e+300"]


def test_columns_of_nothing_but_zero_stand_on_the_axis() -> None:
    assert kinds.columns(WORDS, ["a"], [0.0]).rows == [["a", 0.0]]
