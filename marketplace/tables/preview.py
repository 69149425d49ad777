"""The first rows of data that were brought, as their file has them."""

from itertools import islice
from pathlib import Path

from marketplace.tables import csv_blocks, parquet
from marketplace.tables.arrays import open_array
from marketplace.tables.csv_blocks import Extent
from marketplace.tables.csv_head import read_shape

MAX_CELL = 80  # characters of one cell


def first_rows(upload: Path, matrix: Path, file_format: str, rows: int, columns: int) -> list[list[str]]:
    """At most `rows` rows of at most `columns` cells, as text. Arrays have no text, so their matrix says it all."""
    if file_format == "parquet":
        found = islice(parquet.cells(upload), rows)
        return [["" if cell is None else str(cell)[:MAX_CELL] for cell in row[:columns]] for row in found]
    if file_format != "csv":
        return [[f"{value:.6g}" for value in row] for row in open_array(matrix)[:rows, :columns].tolist()]
    shape, size_bytes = read_shape(upload), upload.stat().st_size
    extent = csv_blocks.scan(upload) if size_bytes <= csv_blocks.BLOCK_BYTES else Extent(size_bytes, has_quotes=True)
    batch = next(csv_blocks.text_batches(upload, shape, extent, shape.names[:columns], missing=[])).slice(0, rows)
    return [[cell[:MAX_CELL] for cell in row.values()] for row in batch.to_pylist()]
