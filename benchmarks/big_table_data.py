"""A client's table, big and messy, as CSV and as Parquet: the same rows, made and written in blocks.

Of each row, 32 measurements that a few hidden causes make, three counts, a town and a kind (both text), a price that
depends on all of them, and whether it was sold (text). Some measurements, towns and prices are missing.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

MEASUREMENTS = [f"m{i:02}" for i in range(32)]
COUNTS = ["rooms", "floors", "visits"]
NUMBERS = [*MEASUREMENTS, *COUNTS]
FEATURES = [*NUMBERS, "town", "kind"]
TOWNS = np.array(["Bonn", "Köln", "Mainz", "Trier", "Sankt Goar, am Rhein"], dtype=object)
KINDS = np.array(["a house", "barn", 'the "old" mill', "flat"], dtype=object)
CAUSES = 6  # hidden behind the measurements
GROUPS = 8  # that the rows come from
GAPPY = MEASUREMENTS[::3]  # each with 1 % of gaps
BLOCK_ROWS = 50_000


def blocks(rows: int, seed: int) -> Iterator[pa.Table]:
    """The table, `rows` rows in all, block by block."""
    rng = np.random.default_rng(seed)
    shape = _Shape(rng)
    for start in range(0, rows, BLOCK_ROWS):
        yield shape.block(min(BLOCK_ROWS, rows - start), rng)


class _Shape:
    """What is the same in all blocks: loadings, groups, effects."""

    def __init__(self, rng: np.random.Generator) -> None:
        count = len(MEASUREMENTS)
        self.loadings = rng.normal(size=(CAUSES, count)) * np.geomspace(3.0, 0.6, CAUSES)[:, None]
        self.middles = rng.normal(size=(GROUPS, CAUSES)) * 2
        self.level, self.unit = rng.normal(size=count) * 20, 10.0 ** rng.integers(-2, 3, count)
        self.effects = rng.normal(size=count + len(COUNTS))
        self.of_town, self.of_kind = rng.normal(size=len(TOWNS)) * 3, rng.normal(size=len(KINDS)) * 3

    def block(self, rows: int, rng: np.random.Generator) -> pa.Table:
        causes = self.middles[rng.integers(GROUPS, size=rows)] + rng.normal(size=(rows, CAUSES))
        plain = causes @ self.loadings + rng.normal(size=(rows, len(MEASUREMENTS)))
        counts = rng.poisson([3.0, 1.5, 20.0], size=(rows, len(COUNTS)))
        town, kind = rng.integers(len(TOWNS), size=rows), rng.integers(len(KINDS), size=rows)
        worth = np.concatenate([plain, counts], axis=1) @ self.effects + self.of_town[town] + self.of_kind[kind]
        columns: dict[str, pa.Array] = {}
        for i, name in enumerate(MEASUREMENTS):
            gaps = rng.random(rows) < (0.01 if name in GAPPY else 0.0)
            columns[name] = pa.array((plain[:, i] + self.level[i]) * self.unit[i], mask=gaps)
        columns |= {name: pa.array(counts[:, i]) for i, name in enumerate(COUNTS)}
        columns["town"] = _texts(TOWNS, town, rng.random(rows) < 0.02)
        columns["kind"] = _texts(KINDS, kind, None)
        price = 1000 + 10 * worth + 40 * rng.normal(size=rows)
        columns["price"] = pa.array(price, mask=rng.random(rows) < 0.005)
        sold = (worth - worth.mean()) / worth.std() + 1.5 * rng.normal(size=rows) > 0
        columns["sold"] = _texts(np.array(["no", "yes"], dtype=object), sold.astype(int), None)
        return pa.table(columns)


def _texts(values: NDArray[np.object_], which: NDArray[np.int64], gaps: NDArray[np.bool_] | None) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(which, mask=gaps), pa.array(values)).cast(pa.string())


def bytes_a_row(seed: int) -> float:
    """Of CSV, about."""
    sink = pa.BufferOutputStream()
    first = next(blocks(5000, seed))
    pyarrow.csv.write_csv(first, sink)
    return sink.getvalue().size / first.num_rows


def write(folder: Path, rows: int, seed: int) -> Sequence[Path]:
    """The files, ``table.csv`` and ``table.parquet``. CSV has each number with as many digits as it needs."""
    files = folder / "table.csv", folder / "table.parquet"
    made = blocks(rows, seed)
    first = next(made)
    with (
        pyarrow.csv.CSVWriter(files[0], first.schema) as csv,
        pyarrow.parquet.ParquetWriter(files[1], first.schema) as parquet,
    ):
        for block in chain([first], made):
            csv.write_table(block)
            parquet.write_table(block)
    return files
