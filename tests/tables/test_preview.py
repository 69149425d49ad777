"""The first rows as the page shows them, which are the rows that are read."""

from pathlib import Path

import pytest

from marketplace.tables import csv_blocks
from marketplace.tables.preview import MAX_CELL, first_rows


@pytest.mark.parametrize("block_bytes", [8, csv_blocks.BLOCK_BYTES])
def test_cells_of_any_length_and_with_any_kind_of_line_end_are_shown(tmp_path, monkeypatch, block_bytes) -> None:
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", block_bytes)
    text = '"a\nb",c,d\n1,x\u2028y,"2\r\n3"\n4,' + "z" * 200_000 + ",5\n6,7,8\n\n"
    (tmp_path / "t.csv").write_bytes(text.encode())
    found = first_rows(tmp_path / "t.csv", Path(), "csv", 2, 3)
    assert found[0] == ["1", "x\u2028y", "2\r\n3"]
    assert block_bytes == 8 or found[1:] == [["4", "z" * MAX_CELL, "5"]]
