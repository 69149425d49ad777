"""scikit-learn's and statsmodels' own small tables: a recipe gives what pandas and scikit-learn's transformers give."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris, load_wine
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from marketplace.domain.recipes import Recipe
from marketplace.tables import delimited, recipes
from marketplace.tables.matrix import MatrixWriter
from marketplace.tables.rows import Stored
from marketplace.tables.survey import Survey

pd = pytest.importorskip("pandas")
known = pytest.importorskip("statsmodels.datasets")


def of_statsmodels(name: str, *columns: str) -> Callable[[], Any]:
    def load() -> Any:
        frame = getattr(known, name).load_pandas().data
        return frame[list(columns)] if columns else frame

    return load


def of_scikit_learn(load: Callable[..., Any]) -> Callable[[], Any]:
    def made() -> Any:
        found = load(as_frame=True)
        if not hasattr(found, "target_names"):
            return found.frame
        return found.frame.assign(target=found.target_names[found.target])

    return made


def with_gaps(load: Callable[[], Any], share: float = 0.05) -> Callable[[], Any]:
    """The same with some cells emptied, the target's too."""

    def made() -> Any:
        frame = load()
        return frame.mask(np.random.default_rng(0).random(frame.shape) < share)

    return made


# Name, table, target (the rest are features), numeric columns that are categories.
TABLES: dict[str, tuple[Callable[[], Any], str | None, tuple[str, ...]]] = {
    "iris": (with_gaps(of_scikit_learn(load_iris)), "petal width (cm)", ()),
    "wine, clustered": (of_scikit_learn(load_wine), None, ()),
    "diabetes": (with_gaps(of_scikit_learn(load_diabetes)), "target", ("sex",)),
    "grunfeld": (with_gaps(of_statsmodels("grunfeld")), "invest", ("year",)),
    "fertility": (of_statsmodels("fertility", "Country Code", "1960", "1985", "2009", "2011"), "1985", ()),
    "anes96": (with_gaps(of_statsmodels("anes96", "popul", "TVnews", "age", "educ", "vote")), "vote", ("educ",)),
    "fair": (of_statsmodels("fair", "rate_marriage", "age", "children", "occupation", "affairs"), "affairs",
             ("occupation", "rate_marriage")),
    "co2": (of_statsmodels("co2"), None, ()),
    "statecrime": (lambda: known.statecrime.load_pandas().data.reset_index(), "murder", ()),
}  # fmt: skip
RECIPES: dict[str, dict[str, Any]] = {
    "drop": {"missing": "drop", "first_level": "drop"},
    "drop, standardised": {"missing": "drop", "standardise": True, "first_level": "keep"},
    "mean, standardised": {"missing": "mean", "standardise": True, "first_level": "drop"},
    "mean": {"missing": "mean", "first_level": "keep"},
}


def is_text(column: Any) -> bool:
    return not pd.api.types.is_numeric_dtype(column)


def by_pandas(frame: Any, recipe: Recipe) -> np.ndarray:
    """X, and y last where there is one."""
    used = frame[[*recipe.columns, *([recipe.target] if recipe.target else [])]]
    used = used.dropna() if recipe.missing == "drop" else used.dropna(subset=[recipe.target] if recipe.target else [])
    used = used.astype({name: object for name in used if is_text(used[name])})
    used = used.where(used.notna(), np.nan)
    drop = "first" if recipe.first_level == "drop" else None
    steps = [SimpleImputer()] * (recipe.missing == "mean") + [StandardScaler()] * recipe.standardise
    number = make_pipeline(*steps) if steps else FunctionTransformer()
    category = OneHotEncoder(drop=drop, sparse_output=False)
    each = [(name, category if name in recipe.categories else number, [name]) for name in recipe.columns]
    X = np.asarray(ColumnTransformer(each).fit_transform(used), dtype=np.float64)
    return X if recipe.target is None else np.column_stack([X, used[recipe.target].astype(float)])


def by_recipe(folder: Path, frame: Any, recipe: Recipe) -> np.ndarray:
    path = folder / "table.csv"
    frame.to_csv(path, index=False)
    with (folder / "own").open("w+b") as file:
        columns, _ = delimited.read(path, file, 10_000_000)
    places = {column.name: column.matrix_column for column in columns if column.matrix_column is not None}
    table = Stored(path, folder / "own", "csv", places)
    layout = Survey(recipe, frozenset(column.name for column in columns if column.dtype == "text")).read(table)
    with (folder / "made").open("w+b") as file:
        recipes.write(layout, table, MatrixWriter(file, layout.names, 10_000_000))
    return np.load(folder / "made", allow_pickle=False)


@pytest.fixture(params=TABLES)
def table(request: Any) -> Iterator[tuple[Any, str | None, tuple[str, ...]]]:
    load, target, categories = TABLES[request.param]
    frame = load()
    yield frame.rename(columns=str).reset_index(drop=True), target, categories


@pytest.mark.parametrize("how", RECIPES)
def test_the_matrix_is_that_of_pandas_and_scikit_learn(tmp_path: Path, table: Any, how: str) -> None:
    frame, target, categories = table
    columns = [name for name in frame if name != target]
    hot = tuple(name for name in columns if is_text(frame[name]) or name in categories)
    recipe = Recipe(tuple(columns), target, hot, **RECIPES[how])
    theirs = by_pandas(frame, recipe)
    ours = by_recipe(tmp_path, frame, recipe)
    assert ours.shape == theirs.shape and len(ours) > 40
    np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-11)
