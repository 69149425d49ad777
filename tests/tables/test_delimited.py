"""Reading CSV as people have it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from marketplace.domain.errors import Refused
from marketplace.tables import csv_blocks, csv_head, delimited


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


def test_nothing_but_blanks_is_a_missing_cell(tmp_path):
    columns, matrix = read(tmp_path, "a,b\n1, \n2,3\n4,\u00a0\n")
    assert [(c.dtype, c.missing, c.first_missing) for c in columns] == [("int64", 0, None), ("float64", 2, 1)]
    assert matrix[1].tolist() == [2, 3]


def test_a_column_that_turns_to_text_late_is_text(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", 4096)
    body = "".join(f"{i},{i}.5\n" for i in range(3000)) + "x,1\n"
    columns, matrix = read(tmp_path, "a,b\n" + body)
    assert [c.dtype for c in columns] == ["text", "float64"]
    assert matrix.shape == (3001, 1)


def test_integers_that_turn_to_floats_late_are_floats(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", 4096)
    body = "".join(f"{i}\n" for i in range(3000)) + "0.5\n"
    columns, matrix = read(tmp_path, "a\n" + body)
    assert columns[0].dtype == "float64"
    assert matrix[-1, 0] == 0.5


def test_means_and_norms_are_those_of_the_whole_column(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", 4096)
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
        ("a" * 501 + ",b\n1,2\n", "longer than 500 characters"),
        ("town\nBonn\n", "No column of the file is numeric"),
        ("t,a\nx,inf\n", 'Row 1 is infinite in column "a"'),
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


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_every_kind_of_line_end_is_read(tmp_path, monkeypatch, end):
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", 64)
    rows = [[i, i + 1] for i in range(200)]
    columns, matrix = read(tmp_path, f"a,b{end}" + "".join(f"{a},{b}{end}" for a, b in rows))
    assert [c.name for c in columns] == ["a", "b"]
    assert matrix.tolist() == rows


@pytest.mark.parametrize(
    "text",
    [
        "1,5;2,5;3,5\n4,5;5,5;6,5\n",
        "1,5;2;3;4\n",
        "1,5\t-2,5\n",
        "a;b\n1,5;2,5\n",
        "a;b\n1,5;\n1.234,5;-2,5e3\n",
        "a;b\n1,5;7\n2,5;8\n",
        'a,b\n"1,000",7\n"2,500",8\n',
    ],
)
def test_decimal_commas_are_refused_with_what_to_write(tmp_path, text):
    with pytest.raises(Refused, match="written with commas; write them with a point"):
        read(tmp_path, text)


def test_text_with_commas_is_not_taken_for_decimal_commas(tmp_path):
    with pytest.raises(Refused, match="No column of the file is numeric.$"):
        read(tmp_path, "a;b\nBonn, Rhein;x\n1,5;y\n")


@pytest.mark.parametrize("name", ["1_1", "\u0661"])
def test_what_only_python_takes_for_a_number_is_a_header(tmp_path, name):
    columns, matrix = read(tmp_path, f"{name},2\n3,4\n")
    assert [c.name for c in columns] == [name, "2"]
    assert matrix.tolist() == [[3, 4]]


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_a_quoted_header_may_hold_a_line_end(tmp_path, end):
    columns, matrix = read(tmp_path, f'"size{end}in ""m""",b{end}1,2{end}3,4{end}')
    assert [c.name for c in columns] == [f'size{end}in "m"', "b"]
    assert matrix.tolist() == [[1, 2], [3, 4]]


def test_quoted_cells_with_line_ends_are_read_across_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", 64)
    columns, matrix = read(tmp_path, "a,note\n" + "".join(f'{i},"one\ntwo, ""three""\n"\n' for i in range(300)))
    assert [c.dtype for c in columns] == ["int64", "text"]
    assert matrix[:, 0].tolist() == list(range(300))


@pytest.mark.parametrize("header", ['"a, b, c";d', 'd;"a, b, c"', '"a, ""b"", c";d'])
def test_separators_inside_quotes_are_not_counted(tmp_path, header):
    columns, matrix = read(tmp_path, f"{header}\n1;2\n")
    assert len(columns) == 2
    assert matrix.tolist() == [[1, 2]]


def test_a_quotation_mark_inside_a_cell_opens_nothing(tmp_path):
    columns, _ = read(tmp_path, 'pipe 5",b,c"\n1,2,3\n')
    assert [c.name for c in columns] == ['pipe 5"', "b", 'c"']


@pytest.mark.parametrize("cell", ["x" * 200_000, '"' + "x\n" * 100_000])
def test_a_first_row_the_parser_gives_up_on_is_refused(tmp_path, cell):
    with pytest.raises(Refused, match="first row of the file cannot be read"):
        read(tmp_path, f"{cell},b\n1,2\n")


def test_a_first_row_longer_than_the_limit_is_refused_and_a_later_cut_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_head, "MAX_LINE_BYTES", 16)
    with pytest.raises(Refused, match="first line is longer"):
        read(tmp_path, '"' + "ab\n" * 8 + '",b\n1,2\n')
    for name in ("a", "aa"):  # the cut falls on either byte of a letter of two
        columns, _ = read(tmp_path, f"{name},b\n" + "1,éééééé\n" * 5)
        assert [c.dtype for c in columns] == ["int64", "text"]


def test_a_made_up_name_avoids_the_given_ones(tmp_path):
    columns, _ = read(tmp_path, "column_1,,column_1_\n1,2,3\n")
    assert [c.name for c in columns] == ["column_1", "column_1__", "column_1_"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_an_empty_line_of_a_single_column_is_a_missing_cell_except_at_the_end(tmp_path, monkeypatch, end):
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", 16)
    cells = ["" if i % 3 else str(i) for i in range(100)]
    columns, matrix = read(tmp_path, "a" + end + end.join(cells) + end * 4)
    assert matrix.shape == (100, 1)
    assert columns[0].missing == 66
    assert np.isnan(matrix[1, 0])
    assert matrix[99, 0] == 99


def test_a_single_header_followed_by_empty_lines_has_no_rows(tmp_path):
    with pytest.raises(Refused, match="no rows"):
        read(tmp_path, "a\n\n\n")


def test_empty_lines_between_rows_of_several_columns_are_passed_over(tmp_path):
    _, matrix = read(tmp_path, "a,b\n1,2\n\n3,4\n\n")
    assert matrix.tolist() == [[1, 2], [3, 4]]


def test_text_beside_missing_cells_is_text(tmp_path):
    columns, matrix = read(tmp_path, "a,town\n1,\n2,Bonn\n")
    assert [c.dtype for c in columns] == ["int64", "text"]
    assert matrix.tolist() == [[1], [2]]


def test_hexadecimal_codes_are_text(tmp_path):
    columns, matrix = read(tmp_path, "a,code\n1,0x10\n2,0xff\n")
    assert [c.dtype for c in columns] == ["int64", "text"]
    assert matrix.tolist() == [[1], [2]]


def test_a_column_of_infinities_that_turns_to_text_late_is_text(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", 64)
    columns, matrix = read(tmp_path, "a,b\n" + "inf,1\n" * 50 + "far,2\n")
    assert [c.dtype for c in columns] == ["text", "int64"]
    assert matrix[:, 0].tolist() == [1] * 50 + [2]


def test_what_arrow_alone_takes_for_an_integer_is_text(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", 64)
    columns, _ = read(tmp_path, "a,b\n" + "16,1\n" * 50 + "0x10,2\n")
    assert [c.dtype for c in columns] == ["text", "int64"]


def test_a_gap_far_behind_is_found_by_its_row_and_makes_integers_floats(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", 64)
    columns, matrix = read(tmp_path, "a,b,c\n" + "1,2,x\n" * 99 + "3,,\n" + "1,2,x\n" * 9)
    assert [(c.dtype, c.missing, c.first_missing) for c in columns[1:]] == [("float64", 1, 100), ("text", 1, 100)]
    assert np.isnan(matrix[99, 1]) and np.isnan(matrix).sum() == 1


def test_a_row_with_too_many_cells_is_named_by_its_place_in_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", 64)
    with pytest.raises(Refused, match="Row #102: Expected 2 columns, got 3"):
        read(tmp_path, "a,b\n" + "1,2\n" * 100 + "1,2,3\n")


def test_a_quotation_mark_that_is_never_closed_does_not_gather_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", 64)
    monkeypatch.setattr(csv_blocks, "MAX_LINE_BYTES", 100)
    with pytest.raises(Refused, match="is a quotation mark left open"):
        read(tmp_path, 'a,b\n1,2\n3,"4\n' + "5,6\n" * 200)


@pytest.mark.parametrize("block_bytes", [4, 4096])
@pytest.mark.parametrize("row", ['2,"x\n3,4\n', '2,"x""\n', '2,"', '"3",4\n"5'])
def test_a_quotation_mark_that_is_never_closed_swallows_no_rows(tmp_path, monkeypatch, block_bytes, row):
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", block_bytes)
    with pytest.raises(Refused, match="has a quotation mark that is never closed"):
        read(tmp_path, f'a,b\n1,"y"\n{row}')


def test_memory_does_not_grow_with_the_file(tmp_path):
    """What Arrow holds at most for 8 MB and for 48, where its own reader of blocks took 34 MB and 78."""
    row = b",".join([b"1.2345678901234567"] * 20) + b",Bonn\n"
    most = []
    before = pa.default_memory_pool()
    for megabytes in (8, 48):
        path = tmp_path / "table.csv"
        with path.open("wb") as file:
            file.write(",".join(f"x{i}" for i in range(20)).encode() + b",town\n")
            for _ in range(megabytes):
                file.write(row * (1_000_000 // len(row)))
        pa.set_memory_pool(pool := pa.proxy_memory_pool(before))
        try:
            with (tmp_path / "matrix.npy").open("w+b") as matrix:
                delimited.read(path, matrix, 10**9)
        finally:
            pa.set_memory_pool(before)
        most.append(pool.max_memory())
    assert most[1] < 1.1 * most[0] < 40 * 1024**2, most
