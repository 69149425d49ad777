"""Reading new rows for a prediction: .csv with or without a header, .npy, .npz."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from computenet_client.columns import Column, place
from computenet_client.data import numbers, read_archive
from computenet_client.errors import Refused

MISSING = {"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"}


def read_table(
    path: Path, columns: Sequence[Column] | None, count: int, known: Sequence[str] = ()
) -> NDArray[np.float64]:
    """The columns (rows × count) of a file that a model takes, in the model's order.

    They are those of `columns`; else those that bear the names of the columns that it was fitted on (`known`), where
    the file has them all; else all of the file's.

    Raises:
        Refused: not such a file, not numbers, or not `count` columns.
    """
    names, rows = _read_csv(path) if path.suffix.lower() == ".csv" else _read_array(path)
    if columns is None and known and set(known) <= set(names):
        columns = known
    kept = range(len(names)) if columns is None else [place(key, names) for key in columns]
    if len(kept) != count:
        raise Refused(
            f"The model takes {count} columns and {path.name} would give it {len(kept)}: name them, in the model's "
            "order, with --columns."
        )
    if isinstance(rows, np.ndarray):
        X = rows[:, list(kept)].astype(np.float64)
    else:
        X = np.array([[_number(row, i, line, names) for i in kept] for line, row in enumerate(rows, start=1)])
    if not len(X) or not np.isfinite(X).all():
        raise Refused(f"{path.name} has no rows, or cells that are no finite numbers.")
    return X


def read_predictions(file: IO[bytes]) -> dict[str, NDArray[Any]]:
    """The columns of a CSV that the network answered: of floats where all cells are numbers or empty, else of text."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    names, *rows = csv.reader(text)
    text.detach()
    return {name: _column(cells) for name, cells in zip(names, zip(*rows, strict=True), strict=True)}


def _column(cells: Sequence[str]) -> NDArray[Any]:
    try:
        found = np.array([float(cell) if cell else np.nan for cell in cells])
    except ValueError:
        return np.array(cells)
    return found.astype(np.int64) if all(cell.isdigit() for cell in cells) else found


def _read_csv(path: Path) -> tuple[list[str], list[list[str]]]:
    """Names and rows of cells; a first line with a cell that is neither a number nor missing is a header."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            delimiter = max(",;\t", key=first.count)
            rows = [row for row in csv.reader(file, delimiter=delimiter) if row]
    except (UnicodeDecodeError, csv.Error):
        raise Refused(f"{path.name} is no CSV file in UTF-8.") from None
    if not rows:
        raise Refused(f"{path.name} is empty.")
    names = [cell.strip() for cell in rows[0]]
    if any(len(row) != len(names) for row in rows):
        raise Refused(f"The rows of {path.name} are not equally long.")
    if all(_is_number(cell) for cell in names):
        return [f"column_{i}" for i in range(len(names))], rows
    return [name or f"column_{i}" for i, name in enumerate(names)], rows[1:]


def _read_array(path: Path) -> tuple[list[str], NDArray[Any]]:
    try:
        if path.suffix.lower() == ".npz":
            with path.open("rb") as file:
                arrays = read_archive(file)
            table = arrays.get("X", next(iter(arrays.values()), None))
        else:
            table = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError):
        raise Refused(f"{path.name} must be a .csv, .npy or .npz file of numbers.") from None
    if table is None or table.ndim != 2:
        raise Refused(f"{path.name} must hold an array of rows × columns.")
    table = numbers(table, path.name)
    return [f"column_{i}" for i in range(table.shape[1])], table


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell in MISSING
    return True


def _number(row: list[str], i: int, line: int, names: Sequence[str]) -> float:
    try:
        return float(row[i])
    except ValueError:
        raise Refused(f'Row {line}, column "{names[i][:80]}" holds {row[i][:40]!r}, which is not a number.') from None
