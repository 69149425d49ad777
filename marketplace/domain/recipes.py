"""What is made of a table before it is fitted: which columns, how gaps and categories become numbers, which rows."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

from marketplace.domain.errors import Refused

Missing = Literal["refuse", "drop", "mean"]
FirstLevel = Literal["drop", "keep"]
MISSING: tuple[Missing, ...] = ("refuse", "drop", "mean")
FIRST_LEVEL: tuple[FirstLevel, ...] = ("drop", "keep")
MAX_HOLDOUT = 0.5
MAX_SEED = 2**31 - 1
OPTIONS = ("missing", "standardise", "categories", "first_level", "holdout", "seed")


def gap_refused(row: int, column: str) -> Refused:
    """What is said of a gap in `row`, counted from 1, where the recipe refuses gaps."""
    return Refused(
        f'Row {row:,} has no value in column "{column[:80]}": fill it, leave the column out with "columns", or set '
        '"missing" of the recipe to "drop" or "mean".'
    )


@dataclass(frozen=True)
class Recipe:
    """How a table becomes the matrix that is fitted.

    `columns` and `target` are names of the table's columns; `categories` those of `columns` that become one column of
    zeros and ones for each level. Of a category's sorted levels the first gets no column where `first_level` is "drop".
    `missing` says what becomes of rows with gaps, `standardise` gives numbers mean 0 and standard deviation 1, and a
    share `holdout` of the rows, drawn with `seed`, is kept out of the fit.
    """

    columns: tuple[str, ...]
    target: str | None
    categories: tuple[str, ...] = ()
    missing: Missing = "refuse"
    standardise: bool = False
    first_level: FirstLevel = "keep"
    holdout: float = 0.0
    seed: int = 0

    @property
    def document(self) -> dict[str, Any]:
        """As JSON, with every field."""
        made = asdict(self)
        return {**made, "columns": list(self.columns), "categories": list(self.categories)}

    @property
    def sha256(self) -> str:
        """Equal recipes have equal digests."""
        return hashlib.sha256(json.dumps(self.document, sort_keys=True).encode()).hexdigest()

    @property
    def options(self) -> dict[str, Any]:
        """What a request says to get this recipe once more, beside its columns."""
        usual = asdict(Options())
        found = {name: self.document[name] for name in OPTIONS}
        return {name: value for name, value in found.items() if value != usual[name] and value != []}

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "Recipe":
        """A recipe out of its `document`."""
        lists = {name: tuple(document[name]) for name in ("columns", "categories")}
        return cls(**{**document, **lists})


@dataclass(frozen=True)
class Options:
    """What a request says of a recipe beside its columns; None: as the model would have it."""

    missing: Missing = "refuse"
    standardise: bool = False
    categories: tuple[str, ...] = ()
    first_level: FirstLevel | None = None
    holdout: float = 0.0
    seed: int = 0

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> "Options":
        """
        Raises:
            Refused: an option that there is not, or one with a value that it cannot have.
        """
        unknown = sorted(set(given) - set(OPTIONS))
        if unknown:
            raise Refused(f"recipe has no field {unknown[0][:40]!r}; it takes {', '.join(OPTIONS)}.")
        missing, first = given.get("missing", "refuse"), given.get("first_level")
        standardise, holdout, seed = given.get("standardise", False), given.get("holdout", 0.0), given.get("seed", 0)
        categories = given.get("categories") or ()
        if missing not in MISSING:
            raise Refused(f"recipe.missing must be one of {', '.join(MISSING)}.")
        if first is not None and first not in FIRST_LEVEL:
            raise Refused(f"recipe.first_level must be one of {', '.join(FIRST_LEVEL)}.")
        if not isinstance(standardise, bool):
            raise Refused("recipe.standardise must be true or false.")
        if isinstance(holdout, bool) or not isinstance(holdout, (int, float)) or not 0 <= holdout <= MAX_HOLDOUT:
            raise Refused(f"recipe.holdout must be a share of the rows, from 0 to {MAX_HOLDOUT}.")
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
            raise Refused("recipe.seed must be a whole number, 0 or more.")
        if not isinstance(categories, (list, tuple)) or not all(isinstance(name, str) for name in categories):
            raise Refused("recipe.categories must be a list of columns' names.")
        return cls(
            cast(Missing, missing), standardise, tuple(categories), cast("FirstLevel | None", first), float(holdout),
            seed if holdout else 0,
        )  # fmt: skip
