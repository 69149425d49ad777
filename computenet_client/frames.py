"""A frame of pandas or polars as CSV: with its columns' names, its texts and its gaps."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from computenet_client.columns import Column, place
from computenet_client.errors import Refused

BLOCK_ROWS = 10_000
CATEGORIES = ("category", "categorical", "enum")  # how pandas and polars call their types of categories
Cells = NDArray[Any]


@dataclass(frozen=True)
class Table:
    """Columns to write. `categories` are those of numbers that the frame has as categories."""

    names: tuple[str, ...]
    columns: tuple[Any, ...]
    categories: tuple[str, ...]

    @classmethod
    def of(cls, frame: Any, y: Any = None, chosen: Sequence[Column] | None = None) -> "Table":
        """The columns of a frame that are `chosen` (all if left out), and `y` as the last.

        Raises:
            Refused: a column that the frame has not, or two of one name.
        """
        given = [str(name) for name in frame.columns]
        if len(set(given)) != len(given):
            raise Refused("Two columns of the frame have the same name; rename one.")
        kept = [place(key, given) for key in chosen] if chosen is not None else list(range(len(given)))
        if len(set(kept)) != len(kept):
            raise Refused("A column is named twice, or is also the target.")
        columns = [frame[frame.columns[i]] for i in kept]
        names = [given[i] for i in kept]
        if all(_reads_as_number(name) for name in names):  # a header of numbers would be taken for a row
            names = [f"column_{name}" for name in names]
        if y is not None:
            names.append(_unlike("y", names))
            columns.append(y)
        if len({len(column) for column in columns}) != 1:
            raise Refused("The frame has no columns, or y has another number of rows.")
        marked = [name for name, column in zip(names, columns, strict=True) if _is_category(column)]
        return cls(tuple(names), tuple(columns), tuple(name for name in marked if name not in names[len(kept) :]))

    def write(self, file: IO[bytes]) -> None:
        """The table as CSV in UTF-8, in blocks of rows. Numbers are written exactly, gaps as empty cells."""
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.names)
        for start in range(0, len(self.columns[0]), BLOCK_ROWS):
            blocks = [_texts(column[start : start + BLOCK_ROWS]) for column in self.columns]
            writer.writerows(zip(*blocks, strict=True))
        text.detach()


def has_categories(frame: Any, chosen: Sequence[Column] | None = None) -> bool:
    """Are some of the chosen columns categories, and the others numbers? Plain text is sent only where a recipe is."""
    given = [str(name) for name in frame.columns]
    kept = [place(key, given) for key in chosen] if chosen is not None else range(len(given))
    columns = [frame[frame.columns[i]] for i in kept]
    marked = [column for column in columns if _is_category(column)]
    return bool(marked) and all(_is_category(column) or _numeric(column) for column in columns)


def _numeric(column: Any) -> bool:
    found = np.asarray(column)
    return found.dtype.kind in "biuf" or all(_is_gap(cell) or isinstance(cell, int | float) for cell in found.tolist())


def _is_category(column: Any) -> bool:
    return str(getattr(column, "dtype", "")).lower().startswith(CATEGORIES)


def _reads_as_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def _unlike(name: str, names: Sequence[str]) -> str:
    while name in names:
        name += "_"
    return name


def _is_gap(cell: Any) -> bool:
    """None, NaN, and what pandas has for them, which equals not even itself."""
    try:
        return cell is None or bool(cell != cell)
    except TypeError:
        return True


def _texts(cells: Any) -> list[str]:
    return [_text(cell) for cell in np.asarray(cells, dtype=object).tolist()]


def _text(cell: Any) -> str:
    if _is_gap(cell):
        return ""
    if isinstance(cell, bool | np.bool_):
        return str(int(cell))
    if isinstance(cell, float | np.floating):
        return repr(float(cell))
    return str(cell)
