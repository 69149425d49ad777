"""A recipe at work, second reading: the matrix that it makes of a table, in blocks. The first one is `survey`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from marketplace.domain.errors import Refused
from marketplace.domain.recipes import Recipe, gap_refused
from marketplace.tables.arrays import BLOCK_CELLS, MAX_COLUMNS
from marketplace.tables.matrix import MatrixWriter
from marketplace.tables.rows import Block, Mask, Stored

Level = str | float | None  # None: a gap, where gaps are a level of their own
Float = NDArray[np.float64]


@dataclass(frozen=True)
class Number:
    """A numeric column: what stands in for a gap (None: nothing does), and what is subtracted and divided by."""

    fill: float | None
    shift: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True)
class Layout:
    """What a recipe found in its table, enough to make numbers of any rows with the same columns.

    `levels` holds the sorted levels of each category, and of a target of texts.
    """

    recipe: Recipe
    texts: frozenset[str]  # the columns, of those that the recipe names, that hold texts
    numbers: dict[str, Number]
    levels: dict[str, list[Level]]

    def as_json(self) -> dict[str, Any]:
        numbers = {name: [each.fill, each.shift, each.scale] for name, each in self.numbers.items()}
        return {"texts": sorted(self.texts), "numbers": numbers, "levels": self.levels}

    @classmethod
    def read(cls, recipe: Mapping[str, Any], layout: Mapping[str, Any]) -> "Layout":
        numbers = {}
        for name, values in layout["numbers"].items():  # PostgreSQL gives 1e20 back as a whole number
            numbers[name] = Number(*(None if value is None else float(value) for value in values))  # type: ignore[arg-type]
        return cls(Recipe.read(recipe), frozenset(layout["texts"]), numbers, dict(layout["levels"]))

    def columns_read(self, *, target: bool) -> tuple[list[str], list[str]]:
        """The numeric columns and those of texts that blocks for `encode` need."""
        return columns_read(self.recipe, self.texts, target=target)

    @property
    def features(self) -> list[tuple[str, str, Level]]:
        """(name, column of the table, level) of each column of X; the level is that of zeros and ones."""
        found: list[tuple[str, str, Level]] = []
        for column in self.recipe.columns:
            if column in self.levels:
                kept = self.levels[column][self._unwritten :]
                found += [(f"{column}={level_name(level)}", column, level) for level in kept]
            else:
                found.append((column, column, None))
        return found

    @property
    def names(self) -> list[str]:
        """The names of the matrix's columns, the target's last."""
        return [name for name, _, _ in self.features] + ([] if self.recipe.target is None else [self.recipe.target])

    @property
    def _unwritten(self) -> int:
        return 1 if self.recipe.first_level == "drop" else 0

    @property
    def classes(self) -> list[str] | None:
        """What the target's numbers 0, 1, … stand for; None where it holds numbers itself."""
        found = self.levels.get(self.recipe.target or "")
        return None if found is None else [level_name(level) for level in found]

    def scaling(self) -> tuple[Float, Float]:
        """What was subtracted from each column of X and what it was divided by."""
        each = [self.numbers.get(column, Number(None)) for _, column, _ in self.features]
        return np.array([number.shift for number in each]), np.array([number.scale for number in each])

    def encode(
        self, block: Block, *, target: bool, strict: bool = False, first_row: int = 1
    ) -> tuple[Float, Float | None, Mask]:
        """X (rows × features), y where `target`, and which rows are whole; the others hold anything.

        A row with a gap that nothing stands in for is not whole, nor one with a level that the fit did not see.

        Raises:
            Refused: where `strict`, naming the first such gap (unless the recipe drops them) or level. `first_row` is
                the number of the block's first row.
        """
        numeric, _ = self.columns_read(target=target)
        places = {name: i for i, name in enumerate(numeric)}  # of up to 20,000
        X, whole, at = np.zeros((len(block), len(self.features))), np.ones(len(block), dtype=bool), 0
        for column in self.recipe.columns:
            if column in self.levels:
                codes = _codes(block, column, numeric, self.levels[column])
                if strict:
                    self._refuse(column, codes == GAP, codes == STRANGE, first_row)
                written = codes - self._unwritten
                rows = np.flatnonzero(written >= 0)
                X[rows, at + written[rows]] = 1.0
                whole &= codes >= 0
                at += len(self.levels[column]) - self._unwritten
            else:
                values, number = block.numbers[:, places[column]], self.numbers[column]
                gaps = np.isnan(values)
                if number.fill is not None:
                    values = np.where(gaps, number.fill, values)
                elif gaps.any():
                    whole &= ~gaps
                    if strict:
                        self._refuse(column, gaps, None, first_row)
                X[:, at] = (values - number.shift) / number.scale
                at += 1
        if not target or self.recipe.target is None:
            return X, None, whole
        name = self.recipe.target
        if name in self.levels:
            y = _codes(block, name, numeric, self.levels[name]).astype(np.float64)
            return X, y, whole & (y >= 0)
        y = block.numbers[:, numeric.index(name)]
        return X, y, whole & ~np.isnan(y)

    def _refuse(self, column: str, gaps: Mask, strange: Mask | None, first_row: int) -> None:
        if strange is not None and strange.any():
            row = first_row + int(strange.argmax())
            raise Refused(f'Row {row:,}, column "{column[:80]}" holds a level that the model was not fitted on.')
        if gaps.any() and self.recipe.missing == "refuse":
            row = first_row + int(gaps.argmax())
            raise Refused(f'Row {row:,} has no value in column "{column[:80]}", and the recipe refuses gaps.')


GAP, STRANGE = -1, -2


def columns_read(recipe: Recipe, texts: frozenset[str] | set[str], *, target: bool) -> tuple[list[str], list[str]]:
    """The numeric columns and those of texts that a recipe reads, the target last."""
    names = [*recipe.columns, *([recipe.target] if target and recipe.target is not None else [])]
    return [name for name in names if name not in texts], [name for name in names if name in texts]


def level_name(level: Level) -> str:
    """A level for people: a number as short as tells it apart, a whole one without its point; a gap in words."""
    if level is None:
        return "(missing)"
    return level if isinstance(level, str) else repr(float(level) + 0.0).removesuffix(".0")  # 0.0: there is no -0


def _codes(block: Block, column: str, numeric: Sequence[str], levels: Sequence[Level]) -> NDArray[np.int64]:
    """Each row's place among the levels; `GAP` or `STRANGE` where it has none."""
    gap = len(levels) - 1 if levels and levels[-1] is None else GAP
    known = [level for level in levels if level is not None]
    if column in block.texts:
        cells = block.texts[column]
        found = pc.index_in(cells, value_set=pa.array(known, pa.string())).fill_null(STRANGE)
        codes = found.to_numpy(zero_copy_only=False).astype(np.int64)
        return np.where(cells.is_null().to_numpy(zero_copy_only=False), gap, codes)
    values, sorted_levels = block.numbers[:, numeric.index(column)], np.array(known, dtype=np.float64)
    places = np.searchsorted(sorted_levels, values).clip(0, max(len(known) - 1, 0))
    same = sorted_levels[places] == values if len(known) else np.zeros(len(values), dtype=bool)
    return np.where(np.isnan(values), gap, np.where(same, places, STRANGE))


def choose(
    recipe: Recipe, blocks: Iterator[Block], numeric: Sequence[str], texts: Sequence[str]
) -> Iterator[tuple[Block, Mask, Mask]]:
    """Each block with the rows that are used, and those of them that are kept out of the fit.

    Raises:
        Refused: a gap, where the recipe refuses them.
    """
    draw, done = np.random.default_rng(recipe.seed), 0
    places = {name: i for i, name in enumerate(numeric)}
    for block in blocks:
        gaps = {name: np.isnan(block.numbers[:, places[name]]) for name in numeric}
        gaps |= {name: block.texts[name].is_null().to_numpy(zero_copy_only=False) for name in texts}
        if recipe.missing == "mean":  # a gap of the target alone costs the row: nothing can be learnt from it
            gaps = {name: mask for name, mask in gaps.items() if name == recipe.target}
        used = ~np.logical_or.reduce(list(gaps.values())) if gaps else np.ones(len(block), dtype=bool)
        if recipe.missing == "refuse" and not used.all():
            row = int((~used).argmax())
            name = next(name for name in (*recipe.columns, recipe.target) if name is not None and gaps[name][row])
            raise gap_refused(done + row + 1, name)
        # One draw for each row of the table, so that a row's lot does not depend on where blocks begin.
        held = (draw.random(len(block)) < recipe.holdout) & used
        yield block, used, held
        done += len(block)


def require_width(layout: Layout, max_cells: int, rows: int) -> int:
    """How many columns X will have.

    Raises:
        Refused: none, or more than the network takes.
    """
    features = len(layout.features)
    if not features:
        raise Refused("There is no column left to fit on: each category has a single level, which is left out.")
    if features > MAX_COLUMNS:
        raise Refused(f"The recipe makes {features:,} columns; at most {MAX_COLUMNS:,} are taken.")
    if rows * (features + 1) > max_cells:
        raise Refused(f"The recipe makes more than {max_cells:,} numbers, which is the most that is taken.")
    return features


def fitted_rows(layout: Layout, table: Stored, *, held_out: bool = False) -> Iterator[tuple[Float, Float | None]]:
    """X and y of the rows that are fitted on, or of those that were kept out, in blocks of bounded size."""
    numeric, texts = layout.columns_read(target=True)
    step = max(1, BLOCK_CELLS // (len(layout.features) + 1))
    for block, used, held in choose(layout.recipe, table.blocks(numeric, texts), numeric, texts):
        for part in block.where(held if held_out else used & ~held).parts(step):
            X, y, _ = layout.encode(part, target=True)
            yield X, y


def write(layout: Layout, table: Stored, writer: MatrixWriter) -> list[dict[str, Any]]:
    """Write the matrix: X, and y as its last column. Answers its columns as `Dataset.columns` has them."""
    for X, y in fitted_rows(layout, table):
        writer.add(X if y is None else np.column_stack([X, y]))
    writer.finish()
    shift, scale = layout.scaling()
    found = [
        {"name": name, "dtype": "float64", "matrix_column": i, "missing": 0, "first_missing": None}
        | {"mean": float(shift[i] + scale[i] * writer.statistics.mean[i])}
        | {"norm": float(scale[i] * writer.statistics.squares[i] ** 0.5)}
        for i, (name, _, _) in enumerate(layout.features)
    ]
    if layout.recipe.target is not None:
        mean, norm = float(writer.statistics.mean[-1]), float(writer.statistics.squares[-1] ** 0.5)
        found.append(
            {"name": layout.recipe.target, "dtype": "float64", "matrix_column": len(found), "missing": 0}
            | {"first_missing": None, "mean": mean, "norm": norm}
        )
    return found
