"""A recipe's first reading of a table, in blocks: which rows are used, levels of categories, means and spreads."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from marketplace.domain.errors import Refused
from marketplace.domain.recipes import Recipe
from marketplace.tables.arrays import MAX_COLUMNS
from marketplace.tables.matrix import Statistics
from marketplace.tables.recipes import Layout, Level, Number, choose, columns_read
from marketplace.tables.rows import Block, Stored

MAX_LEVELS = 1000  # of a category
MAX_LEVEL = 200  # characters
EPSILON = float(np.finfo(np.float64).eps)


@dataclass
class Survey:
    """The first reading: which rows are used, the levels of the categories, the means and spreads of the numbers.

    Levels are those of all used rows; means and spreads those of the rows that are fitted on.
    """

    recipe: Recipe
    texts: frozenset[str]
    rows: int = 0  # that are fitted on
    held_out: int = 0
    dropped: int = 0
    levels: dict[str, set[Level]] = field(default_factory=dict)

    def read(self, table: Stored) -> Layout:
        """
        Raises:
            Refused: a gap that may not be, too many levels, or no rows that are left.
        """
        recipe = self.recipe
        numeric, texts = columns_read(recipe, self.texts, target=True)
        categories = {*recipe.categories, recipe.target}
        plain = [i for i, name in enumerate(numeric) if name not in categories]
        leveled = [*recipe.categories, *([recipe.target] if recipe.target in self.texts else [])]
        self.levels = {str(name): set() for name in leveled}
        statistics = Statistics(len(plain))
        for block, used, held in choose(recipe, table.blocks(numeric, texts), numeric, texts):
            self.dropped += len(block) - int(used.sum())
            self.held_out += int(held.sum())
            self.rows += int(used.sum()) - int(held.sum())
            kept = block if used.all() else block.where(used)
            for name, levels in self.levels.items():
                _add_levels(levels, kept, name, numeric)
            self._refuse_wide()
            fitted = block.numbers[used & ~held] if not used.all() or held.any() else block.numbers
            if len(fitted):
                statistics.add(fitted[:, plain])
        self._refuse_nothing()
        return Layout(recipe, self.texts, self._numbers(numeric, plain, statistics), self._sorted())

    def _refuse_wide(self) -> None:
        """As soon as it is known: a category of a thousand levels takes little room, and thousands of them do not."""
        made = sum(len(self.levels[name]) - 1 for name in self.recipe.categories if self.levels[name])
        if made > MAX_COLUMNS:
            raise Refused(f"The recipe makes more than {MAX_COLUMNS:,} columns, which is the most that is taken.")

    def _refuse_nothing(self) -> None:
        if not self.rows:
            raise Refused("No row is left to fit on: every row has a gap in a column that is used.")
        if self.recipe.holdout and not self.held_out:
            raise Refused(f"A holdout of {self.recipe.holdout:g} keeps none of the rows out; take a larger share.")

    def _sorted(self) -> dict[str, list[Level]]:
        return {name: sorted(levels, key=lambda level: (level is None, level)) for name, levels in self.levels.items()}

    def _numbers(self, numeric: list[str], plain: list[int], statistics: Statistics) -> dict[str, Number]:
        found = {}
        for i, place in enumerate(plain):
            name, mean = numeric[place], float(statistics.mean[i])
            count, squares = float(statistics.count[i]), float(statistics.squares[i])
            if not np.isfinite([mean, squares]).all():
                raise Refused(f'Column "{name[:80]}" holds numbers too large to compute with (above about 1e150).')
            if not count:
                raise Refused(f'Column "{name[:80]}" has no value at all: leave it out.')
            fill = mean if self.recipe.missing == "mean" else None
            if not self.recipe.standardise:
                found[name] = Number(fill)
                continue
            variance = squares / self.rows  # a gap that is filled with the mean adds a row and no square
            # Below this a column is constant but for rounding, as scikit-learn's StandardScaler has it.
            rounding = self.rows * EPSILON * variance + (self.rows * mean * EPSILON) ** 2
            found[name] = Number(fill, mean, 1.0 if variance <= rounding else variance**0.5)
        return found


def _add_levels(levels: set[Level], block: Block, name: str, numeric: Sequence[str]) -> None:
    if name in block.texts:
        levels.update(block.texts[name].unique().to_pylist())
    else:
        values = np.unique(block.numbers[:, list(numeric).index(name)])
        levels.update(None if np.isnan(value) else float(value) for value in values)
    if len(levels) > MAX_LEVELS:
        raise Refused(
            f'Column "{name[:80]}" has more than {MAX_LEVELS:,} different values, too many for a category: leave it '
            'out with "columns".'
        )
    for level in levels:
        if isinstance(level, str) and (len(level) > MAX_LEVEL or "\0" in level):
            raise Refused(f'Column "{name[:80]}" holds texts too long for a category: leave it out with "columns".')
