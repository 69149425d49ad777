"""What a recipe makes of a table, held against scikit-learn's own transformers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from marketplace.domain.errors import Refused
from marketplace.domain.recipes import Recipe
from marketplace.tables import csv_blocks, delimited, recipes, rows
from marketplace.tables.matrix import MatrixWriter
from marketplace.tables.recipes import Layout
from marketplace.tables.rows import Stored
from marketplace.tables.survey import Survey

FLATS = (
    "area,town,rooms,heated,price\n"
    "70,Bonn,2,yes,245\n,Köln,3,no,300\n90, Bonn ,,yes,290\n55,Ahlen,1,no,180\n120,,4,yes,410\n81,Köln,3,,305\n"
)
NUMBERS, TEXTS = ["area", "rooms"], ["town", "heated"]


def stored(tmp_path: Path, text: str) -> Stored:
    upload, matrix = tmp_path / "upload", tmp_path / "matrix"
    upload.write_bytes(text.encode())
    with matrix.open("w+b") as file:
        columns, _ = delimited.read(upload, file, 10_000_000)
    places = {column.name: column.matrix_column for column in columns if column.matrix_column is not None}
    return Stored(upload, matrix, "csv", places)


def made(tmp_path: Path, table: Stored, **more: Any) -> tuple[Layout, np.ndarray, list[dict[str, Any]]]:
    given = {"columns": ("area", "town", "rooms", "heated"), "target": "price", "categories": ("town", "heated")} | more
    recipe = Recipe(**given)
    layout = Survey(recipe, frozenset({"town", "heated"} & {*recipe.columns, recipe.target})).read(table)
    with (tmp_path / "made").open("w+b") as file:
        writer = MatrixWriter(file, layout.names, 10_000_000)
        columns = recipes.write(layout, table, writer)
    return layout, np.load(tmp_path / "made", allow_pickle=False), columns


def frame(text: str = FLATS) -> dict[str, np.ndarray]:
    """The table as people would have it in memory: numbers with NaN, texts with None."""
    header, *lines = [line.split(",") for line in text.strip().split("\n")]
    columns = {name: [line[i].strip() for line in lines] for i, name in enumerate(header)}
    numbers = {name: np.array([float(cell or "nan") for cell in columns[name]]) for name in [*NUMBERS, "price"]}
    return numbers | {name: np.array([cell or None for cell in columns[name]], dtype=object) for name in TEXTS}


def expected(flats: dict[str, np.ndarray], *, scaled: bool, drop: str | None) -> np.ndarray:
    """What scikit-learn makes of it, in the order of the table's columns."""
    numbers = SimpleImputer(strategy="mean").fit_transform(np.column_stack([flats[name] for name in NUMBERS]))
    numbers = StandardScaler().fit_transform(numbers) if scaled else numbers
    hot = [
        OneHotEncoder(drop=drop, sparse_output=False).fit_transform(flats[name].astype(object)[:, None])
        for name in TEXTS
    ]
    return np.column_stack([numbers[:, :1], hot[0], numbers[:, 1:], hot[1], flats["price"]])


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize(("first_level", "drop"), [("drop", "first"), ("keep", None)])
def test_gaps_are_filled_and_categories_are_spread_as_scikit_learn_does_it(tmp_path, scaled, first_level, drop):
    table = stored(tmp_path, FLATS)
    layout, matrix, columns = made(tmp_path, table, missing="mean", standardise=scaled, first_level=first_level)
    np.testing.assert_allclose(matrix, expected(frame(), scaled=scaled, drop=drop), rtol=1e-13, atol=1e-13)
    names = ["area", "town=Ahlen", "town=Bonn", "town=Köln", "town=(missing)", "rooms", "heated=no", "heated=yes"]
    names.append("heated=(missing)")
    if first_level == "drop":
        names = [name for name in names if name not in ("town=Ahlen", "heated=no")]
    assert [name for name, _, _ in layout.features] == names
    # What is noted of each column is in the table's own units, however the matrix is scaled.
    area = np.array([70, 83.2, 90, 55, 120, 81])
    assert columns[0]["mean"] == pytest.approx(area.mean())
    assert columns[0]["norm"] == pytest.approx(np.linalg.norm(area - area.mean()))


def test_rows_with_a_gap_are_dropped_and_levels_that_only_they_had_with_them(tmp_path):
    text = FLATS + "66,Trier,,yes,200\n"
    layout, matrix, _ = made(tmp_path, stored(tmp_path, text), missing="drop", standardise=True, first_level="keep")
    flats = frame(text)
    whole = np.array([0, 3])
    np.testing.assert_allclose(
        matrix, expected({name: cells[whole] for name, cells in flats.items()}, scaled=True, drop=None), atol=1e-13
    )
    assert layout.levels == {"town": ["Ahlen", "Bonn"], "heated": ["no", "yes"]}


def test_the_first_gap_is_named_where_gaps_are_refused(tmp_path):
    table = stored(tmp_path, FLATS)
    with pytest.raises(Refused, match=r'Row 2 has no value in column "area": .*"drop" or "mean"'):
        made(tmp_path, table)
    with pytest.raises(Refused, match='Row 5 has no value in column "town"'):
        made(tmp_path, table, columns=("town",), categories=("town",))


def test_a_target_is_never_filled(tmp_path):
    text = FLATS + "66,Köln,2,yes,\n"
    _, matrix, _ = made(tmp_path, stored(tmp_path, text), missing="mean", standardise=True)
    np.testing.assert_allclose(matrix, expected(frame(), scaled=True, drop=None), atol=1e-13)


def test_a_target_of_texts_becomes_numbers_by_its_sorted_levels(tmp_path):
    layout, matrix, _ = made(
        tmp_path, stored(tmp_path, FLATS), columns=("price",), target="town", categories=(), missing="drop"
    )
    assert layout.classes == ["Ahlen", "Bonn", "Köln"]
    assert matrix.tolist() == [[245, 1], [300, 2], [290, 1], [180, 0], [305, 2]]


def test_numbers_may_be_categories_too(tmp_path):
    layout, matrix, _ = made(
        tmp_path, stored(tmp_path, FLATS), columns=("rooms",), target=None, categories=("rooms",), missing="mean"
    )
    assert [name for name, _, _ in layout.features] == ["rooms=1", "rooms=2", "rooms=3", "rooms=4", "rooms=(missing)"]
    rooms = np.array([[2, 3, np.nan, 1, 4, 3]]).T
    np.testing.assert_array_equal(matrix, OneHotEncoder(sparse_output=False).fit_transform(rooms))


def test_the_matrix_does_not_depend_on_where_blocks_begin(tmp_path, monkeypatch):
    lines = [f"{i % 97 if i % 11 else ''},{'abc'[i % 3]},{i % 7},{'yn'[i % 2]},{i}" for i in range(3000)]
    text = "area,town,rooms,heated,price\n" + "\n".join(lines) + "\n"
    how = {"missing": "drop", "standardise": True, "holdout": 0.25, "seed": 3}
    layout, whole, _ = made(tmp_path, stored(tmp_path, text), **how)
    for module, name, size in (
        (csv_blocks, "BLOCK_BYTES", 4096),
        (recipes, "BLOCK_CELLS", 700),
        (rows, "BLOCK_CELLS", 900),
    ):
        monkeypatch.setattr(module, name, size)
    again, matrix, _ = made(tmp_path, stored(tmp_path, text), **how)
    np.testing.assert_allclose(matrix, whole, rtol=1e-12, atol=1e-12)
    assert again.levels == layout.levels


def test_a_seeded_share_of_the_rows_is_kept_out_and_scaling_does_not_see_it(tmp_path):
    lines = [f"{i},{'ab'[i % 2]},{i % 5},y,{i}" for i in range(1000)]
    table = stored(tmp_path, "area,town,rooms,heated,price\n" + "\n".join(lines) + "\n")
    layout, matrix, _ = made(tmp_path, table, standardise=True, holdout=0.2, seed=7)
    kept = matrix[:, -1].astype(int)
    assert 740 <= len(kept) <= 860
    held = np.concatenate([y for _, y in recipes.fitted_rows(layout, table, held_out=True)]).astype(int)
    assert sorted([*kept, *held]) == list(range(1000))
    np.testing.assert_allclose(
        matrix[:, 0], StandardScaler().fit_transform(kept[:, None].astype(float))[:, 0], atol=1e-12
    )
    other, different, _ = made(tmp_path, table, standardise=True, holdout=0.2, seed=8)
    assert not np.array_equal(different[:, -1], matrix[:, -1])


WIDE = tuple(f"c{i}" for i in range(23))


@pytest.mark.parametrize(
    ("text", "more", "sentence"),
    [
        (
            "a,b\n" + "".join(f"x{i},{i}\n" for i in range(1001)),
            {"columns": ("a",), "categories": ("a",)},
            "1,000 different",
        ),
        (
            ",".join(WIDE) + ",y\n" + "".join(",".join([f"v{i}"] * len(WIDE)) + f",{i}\n" for i in range(900)),
            {"columns": WIDE, "categories": WIDE},
            "more than 20,000 columns, which is the most",
        ),
        ("a,b\n" + "x" * 201 + ",1\n", {"columns": ("a",), "categories": ("a",)}, "too long for a category"),
        ("a,b\nx,1\nx,2\n", {"columns": ("a",), "categories": ("a",), "first_level": "drop"}, "no column left"),
        ("a,b\n1,\n,2\n", {"columns": ("a", "b"), "missing": "drop"}, "No row is left"),
        ("a,b\n1,\n2,\n", {"columns": ("a", "b"), "missing": "mean"}, '"b" has no value at all'),
    ],
)
def test_what_no_recipe_can_use_is_refused_in_one_sentence(tmp_path, text, more, sentence):
    table = stored(tmp_path, text)
    recipe = Recipe(**({"target": None, "categories": ()} | more))
    with pytest.raises(Refused, match=sentence):
        layout = Survey(recipe, frozenset(recipe.categories)).read(table)
        recipes.require_width(layout, 10_000, 10)


def test_new_rows_get_the_columns_that_the_fit_had(tmp_path):
    layout, _, _ = made(tmp_path, stored(tmp_path, FLATS), missing="mean", standardise=True, first_level="drop")
    numeric, texts = layout.columns_read(target=False)
    path = tmp_path / "new.csv"
    path.write_text("town,heated,rooms,area\nKöln,yes,2,83.2\n,no,,55\n")
    (block,) = rows.brought(path, "csv", numeric, texts, layout.recipe.columns, {*layout.recipe.columns, "price"})
    X, y, whole = layout.encode(block, target=False, strict=True)
    assert y is None and whole.all()
    rooms = np.array([2, 3, 2.6, 1, 4, 3])
    np.testing.assert_allclose(X[0], [0, 0, 1, 0, (2 - 2.6) / rooms.std(), 1, 0], atol=1e-12)
    assert X[1, 3] == 1 and X[1, 4] == pytest.approx(0)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("town,heated,rooms\nKöln,yes,2\n", 'lack the column "area"'),
        ("town,heated,rooms,area,colour\nKöln,yes,2,1,red\n", 'have a column "colour"'),
        ("town,heated,rooms,area\nKöln,yes,2,1\nKöln,yes,two,1\n", "Row 2, column \"rooms\" holds 'two'"),
        ("town,heated,rooms,area\nKöln,yes,2,1\nParis,yes,2,1\n", 'Row 2, column "town" holds a level'),
    ],
)
def test_new_rows_of_another_kind_are_refused_by_name(tmp_path, text, sentence):
    layout, _, _ = made(tmp_path, stored(tmp_path, FLATS), missing="mean")
    numeric, texts = layout.columns_read(target=False)
    path = tmp_path / "new.csv"
    path.write_text(text)
    with pytest.raises(Refused, match=sentence):
        for block in rows.brought(
            path, "csv", numeric, texts, layout.recipe.columns, {*layout.recipe.columns, "price"}
        ):
            layout.encode(block, target=False, strict=True)


def test_levels_are_named_as_people_write_them_and_none_like_another():
    assert [recipes.level_name(each) for each in (0.1, 2020.0, -0.0, 1234567.0, 1234568.0, "x", None)] == [
        "0.1", "2020", "0", "1234567", "1234568", "x", "(missing)",
    ]  # fmt: skip


def test_a_layout_holds_floats_where_a_database_gives_whole_numbers_back(tmp_path):
    """PostgreSQL writes 1e+20 out, which NumPy can hold as an object alone."""
    table = stored(tmp_path, "a,b\n1e20,1\n3e20,2\n")
    layout, _, _ = made(tmp_path, table, columns=("a",), target="b", categories=(), standardise=True)
    document = layout.as_json() | {"numbers": {"a": [None, 2 * 10**20, 10**20]}}
    again = Layout.read(layout.recipe.document, document)
    assert again == layout and [each.dtype for each in again.scaling()] == [np.float64, np.float64]
