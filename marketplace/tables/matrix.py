"""The matrix that is made of a table: a float64 ``.npy`` file written in blocks, with its statistics."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from marketplace.domain.errors import Refused

Block = NDArray[np.float64]
MAX_NAME = 500  # characters of a column's name, which each column that a category becomes bears


def require_short_names(names: Iterable[str]) -> None:
    """
    Raises:
        Refused: a name of more than `MAX_NAME` characters.
    """
    if long := next((name for name in names if len(name) > MAX_NAME), None):
        raise Refused(f'The name of the column "{long[:40]}…" is longer than {MAX_NAME} characters; shorten it.')


@dataclass
class Column:
    """A column of a table as it was brought. `matrix_column` is None for text, which the matrix leaves out."""

    name: str
    dtype: str  # "float64", "int64", "bool" or "text"
    matrix_column: int | None
    missing: int = 0
    first_missing: int | None = None  # the row, counted from 1
    mean: float = 0.0
    norm: float = 0.0  # Euclidean norm of the centred column

    def as_json(self) -> dict[str, Any]:
        return dict(self.__dict__)


@dataclass
class Statistics:
    """Running means and centred sums of squares of each column, block by block (Chan, Golub and LeVeque 1983)."""

    columns: int
    rows: int = 0
    count: NDArray[np.float64] = field(init=False)
    mean: NDArray[np.float64] = field(init=False)
    squares: NDArray[np.float64] = field(init=False)
    first_missing: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.count, self.mean, self.squares = (np.zeros(self.columns) for _ in range(3))
        self.first_missing = np.full(self.columns, -1, dtype=np.int64)

    def add(self, block: Block) -> None:
        """Add a block of shape (rows, columns). NaN stands for a missing cell."""
        missing = np.isnan(block)
        any_missing = missing.any(axis=0)
        new = any_missing & (self.first_missing < 0)
        self.first_missing[new] = self.rows + 1 + missing[:, new].argmax(axis=0)
        count = len(block) - missing.sum(axis=0)
        filled = np.where(missing, 0.0, block) if any_missing.any() else block
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            mean = np.where(count > 0, filled.sum(axis=0) / np.maximum(count, 1), 0.0)
            centred = np.where(missing, 0.0, block - mean) if any_missing.any() else block - mean
            squares = (centred**2).sum(axis=0)
            total = self.count + count
            shift = mean - self.mean
            share = np.divide(count, total, out=np.zeros(self.columns), where=total > 0)
            self.squares += squares + shift**2 * self.count * share
            self.mean += shift * share
        self.count = total
        self.rows += len(block)

    def fill(self, columns: list[Column]) -> None:
        """Write what was found into the numeric `columns`, which are in the matrix's order."""
        for i, column in enumerate(columns):
            column.mean, column.norm = float(self.mean[i]), float(np.sqrt(self.squares[i]))
            column.missing = int(self.rows - self.count[i])
            column.first_missing = int(self.first_missing[i]) if self.first_missing[i] >= 0 else None
            if not np.isfinite([column.mean, column.norm]).all():
                name = column.name[:80]
                raise Refused(f'Column "{name}" holds numbers too large to compute with (above about 1e150).')


def _write_header(file: IO[bytes], rows: int, columns: int) -> None:
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (rows, columns)})


class MatrixWriter:
    """Writes blocks of rows as one C-ordered float64 ``.npy`` file whose number of rows is known at the end."""

    def __init__(self, file: IO[bytes], names: Sequence[str], max_cells: int) -> None:
        """`names` are the columns', for what is refused."""
        self.file, self.names, self.columns, self.max_cells = file, names, len(names), max_cells
        self.statistics = Statistics(self.columns)
        self._header(0)
        self.data_start = file.tell()

    def _header(self, rows: int) -> None:
        _write_header(self.file, rows, self.columns)

    @staticmethod
    def size_bytes(rows: int, columns: int) -> int:
        """How long the file will be."""
        header = BytesIO()
        _write_header(header, rows, columns)
        return len(header.getvalue()) + 8 * rows * columns

    def add(self, block: Block) -> None:
        """Add a block of shape (rows, columns).

        Raises:
            Refused: an infinite cell, or more cells than the network takes.
        """
        if (self.statistics.rows + len(block)) * self.columns > self.max_cells:
            raise Refused(f"The data have more than {self.max_cells:,} numbers, which is the most that is taken.")
        if np.isinf(block).any():
            row, column = np.argwhere(np.isinf(block))[0]
            number, name = self.statistics.rows + row + 1, self.names[column][:80]
            raise Refused(f'Row {number:,} is infinite in column "{name}", or too large a number.')
        self.statistics.add(block)
        self.file.write(np.ascontiguousarray(block, dtype="<f8").data)

    def finish(self) -> int:
        """Write the header with the number of rows, and answer that number."""
        if not self.statistics.rows:
            raise Refused("The data have no rows.")
        self.file.seek(0)
        self._header(self.statistics.rows)
        if self.file.tell() != self.data_start:
            raise RuntimeError("the header of the matrix changed its length")
        self.file.flush()
        return self.statistics.rows
