"""The first rows of data that were brought, as their file has them."""

import csv
from itertools import islice
from pathlib import Path

from marketplace.tables import parquet
from marketplace.tables.arrays import open_array
from marketplace.tables.csv_head import read_shape

MAX_CELL = 80  # characters of one cell
READ_CHARACTERS = 1024 * 1024


def first_rows(upload: Path, matrix: Path, file_format: str, rows: int, columns: int) -> list[list[str]]:
    """At most `rows` rows of at most `columns` cells, as text. Arrays have no text, so their matrix says it all."""
    if file_format == "parquet":
        found = islice(parquet.cells(upload), rows)
        return [["" if cell is None else str(cell)[:MAX_CELL] for cell in row[:columns]] for row in found]
    if file_format != "csv":
        return [[f"{value:.6g}" for value in row] for row in open_array(matrix)[:rows, :columns].tolist()]
    shape = read_shape(upload)
    with upload.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        text = file.read(READ_CHARACTERS)
    lines = text.splitlines(keepends=True)[shape.header_lines :]
    records = (record for record in csv.reader(lines, delimiter=shape.delimiter) if any(record))
    return [[cell[:MAX_CELL] for cell in record[:columns]] for record in islice(records, rows)]
