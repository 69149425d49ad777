"""Reading CSV as people have it."""

from pathlib import Path

import numpy as np
import pytest

from marketplace.domain.errors import Refused
from marketplace.tables import delimited


def read(tmp_path: Path, text: str | bytes, max_cells: int = 10_000):
    path = tmp_path / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with (tmp_path / "matrix.npy").open("w+b") as matrix:
        columns, _ = delimited.read(path, matrix, max_cells)
    return columns, np.load(tmp_path / "matrix.npy", allow_pickle=False)


def test_a_header_names_the_columns_and_text_is_kept_out_of_the_matrix(tmp_path):
    columns, matrix = read(tmp_path, "size,town,price\n1,Bonn,2.5\n3,Köln,4\n")
    assert [(c.name, c.dtype, c.matrix_column) for c in columns] == [
        ("size", "int64", 0),
        ("town", "text", None),
        ("price", "float64", 1),
    ]
    assert matrix.tolist() == [[1, 2.5], [3, 4]]


def test_without_a_header_the_columns_are_numbered(tmp_path):
    columns, matrix = read(tmp_path, "1,2\n3,4\n")
    assert [c.name for c in columns] == ["column_0", "column_1"]
    assert matrix.shape == (2, 2)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_separator_is_found(tmp_path, separator):
    _, matrix = read(tmp_path, f"a{separator}b\n1{separator}2\n")
    assert matrix.tolist() == [[1, 2]]


def test_quotes_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path):
    columns, matrix = read(tmp_path, b'\xef\xbb\xbf"a, b",c\r\n"1","2"\r\n')
    assert [c.name for c in columns] == ["a, b", "c"]
    assert matrix.tolist() == [[1, 2]]


def test_missing_cells_are_counted_and_the_first_is_named(tmp_path):
    columns, matrix = read(tmp_path, "a,b\n1,2\n,3\nNA,4\n")
    assert (columns[0].missing, columns[0].first_missing) == (2, 2)
    assert np.isnan(matrix[1:, 0]).all()
    assert columns[0].mean == 1


def test_a_column_that_turns_to_text_late_is_text(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 4096)
    body = "".join(f"{i},{i}.5\n" for i in range(3000)) + "x,1\n"
    columns, matrix = read(tmp_path, "a,b\n" + body)
    assert [c.dtype for c in columns] == ["text", "float64"]
    assert matrix.shape == (3001, 1)


def test_integers_that_turn_to_floats_late_are_floats(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 4096)
    body = "".join(f"{i}\n" for i in range(3000)) + "0.5\n"
    columns, matrix = read(tmp_path, "a\n" + body)
    assert columns[0].dtype == "float64"
    assert matrix[-1, 0] == 0.5


def test_means_and_norms_are_those_of_the_whole_column(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 4096)
    data = np.random.default_rng(0).normal(1000, 1, size=(5000, 3)).round(9)
    columns, matrix = read(tmp_path, "a,b,c\n" + "".join(f"{a},{b},{c}\n" for a, b, c in data.tolist()), 15_000)
    np.testing.assert_array_equal(matrix, data)
    np.testing.assert_allclose([c.mean for c in columns], data.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose([c.norm for c in columns], np.linalg.norm(data - data.mean(axis=0), axis=0), rtol=1e-9)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a,b\n", "no rows"),
        ("\n1,2\n", "empty line"),
        ("a,a\n1,2\n", 'column "a" twice'),
        ("a,b\n1,2,3\n", "cannot be read"),
        ("town\nBonn\n", "No column of the file is numeric"),
        ("a\ninf\n", "infinite"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"a\0b\n1\n", "not text"),
        (b"PK\x03\x04" + b"\xff" * 50, "UTF-8"),
        ("a\n" + "1\n" * 20_000, "more than 10,000 numbers"),
        (",".join(f"c{i}" for i in range(20_001)) + "\n", "20,001 columns"),
    ],
)
def test_what_is_no_table_is_refused_in_a_sentence(tmp_path, text, sentence):
    with pytest.raises(Refused, match=sentence):
        read(tmp_path, text)


def test_numbers_too_large_to_compute_with_are_refused(tmp_path):
    with pytest.raises(Refused, match='Column "a" holds numbers too large'):
        read(tmp_path, "a\n1e300\n-1e300\n")
