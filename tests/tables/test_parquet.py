"""Reading Parquet: the same table as from CSV, in blocks, and nothing that would unpack to more than is taken."""

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from marketplace.domain.errors import Refused
from marketplace.domain.recipes import Recipe
from marketplace.tables import delimited, pages, parquet, rows
from marketplace.tables.recipes import fitted_rows
from marketplace.tables.rows import Stored
from marketplace.tables.survey import Survey

ROWS = 5000


def table() -> pa.Table:
    rng = np.random.default_rng(2)
    towns = np.array(["Ahlen", "Bonn", "Köln"], dtype=object)[rng.integers(0, 3, ROWS)]
    towns[::11] = None
    return pa.table(
        {
            "area": pa.array([None if i % 7 == 3 else i for i in range(ROWS)], pa.int32()),
            "town": pa.array(towns, pa.string()).dictionary_encode(),
            "price": rng.normal(size=ROWS),
            "note": pa.array([f"note {i % 50}" for i in range(ROWS)], pa.large_string()),
            "new": pa.array([i % 2 == 0 for i in range(ROWS)]),
        }
    )


def read(path: Path, folder: Path, reader: Any = parquet) -> tuple[Any, Stored]:
    with (folder / "matrix").open("w+b") as file:
        columns, _ = reader.read(path, file, 10_000_000)
    places = {column.name: column.matrix_column for column in columns if column.matrix_column is not None}
    return columns, Stored(path, folder / "matrix", "csv" if reader is delimited else "parquet", places)


@pytest.mark.parametrize("how", [{}, {"compression": "zstd", "data_page_version": "2.0"}, {"use_dictionary": False}])
def test_columns_and_cells_are_those_of_the_file_whatever_its_row_groups(tmp_path, monkeypatch, how) -> None:
    monkeypatch.setattr(parquet, "BATCH_CELLS", 1777)
    path, made = tmp_path / "t.parquet", table()
    pq.write_table(made, path, row_group_size=1200, **how)
    columns, stored = read(path, tmp_path)
    assert [(c.name, c.dtype, c.matrix_column, c.missing, c.first_missing) for c in columns] == [
        ("area", "float64", 0, 714, 4), ("town", "text", None, 455, 1), ("price", "float64", 1, 0, None),
        ("note", "text", None, 0, None), ("new", "bool", 2, 0, None),
    ]  # fmt: skip
    matrix = np.load(stored.matrix, allow_pickle=False)
    np.testing.assert_array_equal(matrix[:, 1], made["price"].to_numpy())
    np.testing.assert_array_equal(matrix[:, 0], made["area"].to_numpy().astype(float))
    assert [list(row) for row in rows.cells(stored)] == [list(row.values()) for row in made.to_pylist()]


def test_a_recipe_makes_the_same_of_parquet_and_of_csv(tmp_path: Path) -> None:
    made, found = table(), []
    pq.write_table(made, tmp_path / "t.parquet", row_group_size=700)
    lines = ["area,town,price,new", *(f"{r['area'] if r['area'] is not None else ''},{r['town'] or ''},{r['price']!r},"
                                      f"{int(r['new'])}" for r in made.to_pylist())]  # fmt: skip
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    recipe = Recipe(("area", "town", "new"), "price", ("town",), "drop", standardise=True, holdout=0.2)
    for reader, name in ((parquet, "t.parquet"), (delimited, "t.csv")):
        _, stored = read(tmp_path / name, tmp_path, reader)
        layout = Survey(recipe, frozenset({"town"})).read(stored)
        found.append(np.concatenate([np.column_stack([X, y]) for X, y in fitted_rows(layout, stored)]))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-13, atol=1e-13)


def test_new_rows_come_as_parquet_too(tmp_path: Path) -> None:
    pq.write_table(table().select(["town", "new", "area"]).slice(0, 5), tmp_path / "new.parquet")
    (block,) = rows.brought(tmp_path / "new.parquet", "parquet", ["area", "new"], ["town"], ["area", "town", "new"],
                            {"area", "town", "new"})  # fmt: skip
    np.testing.assert_array_equal(block.numbers, [[0, 1], [1, 0], [2, 1], [np.nan, 0], [4, 1]])
    assert block.texts["town"].null_count == 1


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"a": pa.array([[1, 2]])}, 'Column "a" is nested'),
        ({"a": pa.array([{"b": 1}])}, 'Column "a" is nested'),
        ({"a": pa.array([b"x"])}, 'Column "a" is binary'),
        ({"a": pa.array([], pa.float64())}, "have no rows"),
        ({"a" * 501: pa.array([1.0])}, "longer than 500 characters"),
        ({"a": pa.array(["x"])}, "No column of the file is numeric"),
        ({"a": pa.array([1.0]), "b": pa.array(["x" * 40_000])}, "a text of more than 32,768 characters"),
    ],
)
def test_what_is_no_table_of_numbers_and_texts_is_refused(tmp_path, columns, sentence) -> None:
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(Refused, match=sentence):
        read(tmp_path / "t.parquet", tmp_path)


def test_dates_are_texts(tmp_path: Path) -> None:
    pq.write_table(pa.table({"day": [datetime.date(2026, 1, 2)], "a": [1.5]}), tmp_path / "t.parquet")
    columns, stored = read(tmp_path / "t.parquet", tmp_path)
    assert columns[0].dtype == "text"
    assert next(rows.text_batches(stored.upload, "parquet", ["day"])).to_pydict() == {"day": ["2026-01-02"]}


def test_pages_that_would_unpack_to_too_much_are_refused_before_any_is(tmp_path, monkeypatch) -> None:
    path = tmp_path / "bomb.parquet"
    pq.write_table(pa.table({"a": np.zeros(400_000)}), path, compression="zstd", use_dictionary=False)
    assert path.stat().st_size < 20_000
    monkeypatch.setattr(parquet, "MAX_UNPACKED_BYTES", 100_000)
    with pytest.raises(Refused, match="pages unpack to more than"):
        parquet.schema_of(path)


def test_a_dictionary_that_many_rows_share_is_not_written_out_for_each(tmp_path: Path) -> None:
    """One text of 30,000 characters in 200,000 rows: 6 GB if it were."""
    towns = pa.DictionaryArray.from_arrays(pa.array(np.zeros(200_000, np.int32)), pa.array(["x" * 30_000]))
    pq.write_table(pa.table({"a": np.zeros(200_000), "town": towns}), tmp_path / "t.parquet")
    _, stored = read(tmp_path / "t.parquet", tmp_path)
    before = pa.default_memory_pool().max_memory()
    with pytest.raises(Refused, match="too long for a category"):
        Survey(Recipe(("town",), None, ("town",)), frozenset({"town"})).read(stored)
    assert max(before, pa.default_memory_pool().max_memory()) < 400 * 1024**2


def test_damage_is_refused_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_probe", lambda path: None)  # another process is dear, and none of these ends it
    pq.write_table(table(), tmp_path / "good.parquet")
    good, rng = (tmp_path / "good.parquet").read_bytes(), np.random.default_rng(1)
    bad = tmp_path / "bad.parquet"
    for content in (b"", b"PAR1", b"x" * 100 + b"PAR1", good[:-9], b"\xff" * 4 + b"PAR1"):
        bad.write_bytes(content)
        with pytest.raises(Refused):
            read(bad, tmp_path)
    for _ in range(40):
        damaged = bytearray(good)
        for place in rng.integers(0, len(good), 3):
            damaged[place] ^= int(rng.integers(1, 256))
        bad.write_bytes(damaged)
        try:
            read(bad, tmp_path)
        except Refused as refusal:
            assert str(refusal).endswith(".")


def test_a_footer_that_ends_the_process_that_reads_it_ends_another_one(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": [1.0, 2.0]}), path)
    nullable, required = b"\x25\x02\x18\x01a", b"\x25\x00\x18\x01a"  # what the schema says of it, but no histogram
    content = path.read_bytes()
    assert content.count(nullable) == 1
    path.write_bytes(content.replace(nullable, required))
    with pytest.raises(Refused, match="it is damaged"):
        read(path, tmp_path)
    with pytest.raises(Refused, match="it is damaged"):
        list(rows.brought(path, "parquet", ["a"], [], ["a"], {"a"}))


def test_a_pages_header_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": np.arange(1000.0)}), path, compression="none", use_dictionary=False)
    chunk = pq.read_metadata(path).row_group(0).column(0)
    with path.open("rb") as file:
        (found,) = pages.read_pages(file, chunk.data_page_offset, chunk.total_compressed_size)
        assert 8000 <= found.unpacked_bytes == found.packed_bytes < 8100
        assert (found.values, found.encoding, found.is_dictionary) == (1000, 0, False)
        with pytest.raises(pages.Damaged):
            list(pages.read_pages(file, chunk.data_page_offset, chunk.total_compressed_size - 1))


@pytest.mark.parametrize("groups", [400, 5])
def test_long_texts_that_all_differ_are_held_for_a_few_rows_at_a_time(tmp_path, monkeypatch, groups) -> None:
    """Texts of 20,000 characters that compress well: a batch of full length would hold 4 GB."""
    notes = pa.array(["x" * 20_000 + str(i) for i in range(400)])
    made = pa.table({"a": np.zeros(400), "note": notes})
    for how in ({"use_dictionary": False}, {"dictionary_pagesize_limit": 2**27}):
        pq.write_table(made, tmp_path / "t.parquet", compression="zstd", row_group_size=groups, **how)
        monkeypatch.setattr(parquet, "BATCH_BYTES", 200_000)
        sizes = [len(batch) for batch in parquet.text_batches(tmp_path / "t.parquet", ["note"])]
        assert sum(sizes) == 400 and max(sizes) <= 10


def test_an_encoding_whose_pages_unpack_to_any_size_is_refused(tmp_path: Path) -> None:
    path, made = tmp_path / "t.parquet", pa.table({"a": np.zeros(3), "note": ["x" * 100] * 3})
    for version in ("1.0", "2.0"):
        pq.write_table(
            made, path, use_dictionary=False, column_encoding={"a": "PLAIN", "note": "DELTA_BYTE_ARRAY"},
            data_page_version=version,
        )  # fmt: skip
        with pytest.raises(Refused, match="DELTA_BYTE_ARRAY"):
            parquet.schema_of(path)
    taken = {"a": "PLAIN", "note": "DELTA_LENGTH_BYTE_ARRAY"}
    pq.write_table(made, path, use_dictionary=False, column_encoding=taken)
    assert parquet.schema_of(path) == {"a": "float64", "note": "text"}


def i32(value: int, delta: int = 1) -> bytes:
    """A field of Thrift's compact protocol, `delta` behind the one before, whose value is a number of 32 bits."""
    found, left = bytearray([delta << 4 | 5]), value << 1
    while left > 0x7F:
        found.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*found, left])


STRANGE = b"\x4c" + i32(3) + i32(0) + b"\0"  # a struct as field 9, which nobody knows, whose field 2 is 0
OF_64_BITS = b"\x06\x04\0"  # field 2 once more, as 0, and of another type


@pytest.mark.parametrize(("encoding", "beside"), [(i32(7), STRANGE), (i32(7 + 2**31), b""), (i32(7) + OF_64_BITS, b"")])
def test_a_pages_header_cannot_say_one_thing_here_and_another_to_its_reader(tmp_path, encoding, beside) -> None:
    """A struct that its reader passes over, a number that it cuts to 32 bits, a field of a wrong type."""
    path = tmp_path / "t.parquet"
    texts = [f"{'x' * 20}{i}" for i in range(3)]
    pq.write_table(
        pa.table({"note": texts}), path, compression="none", use_dictionary=False,
        column_encoding={"note": "DELTA_BYTE_ARRAY"},
    )  # fmt: skip
    chunk = pq.read_metadata(path).row_group(0).column(0)
    content, start = path.read_bytes(), chunk.data_page_offset
    with path.open("rb") as file:
        (page,) = pages.read_pages(file, start, chunk.total_compressed_size)
    length = chunk.total_compressed_size - page.packed_bytes
    own = bytes([0x2C]) + i32(3) + encoding + i32(3) + i32(3) + b"\0"
    header = i32(0) + i32(page.unpacked_bytes) + i32(page.packed_bytes) + own + beside
    header += bytes([0x18, length - len(header) - 3]) + b" " * (length - len(header) - 3) + b"\0"
    assert len(header) == length
    path.write_bytes(content[:start] + header + content[start + length :])
    assert pq.read_table(path)["note"].to_pylist() == texts  # Arrow takes it for what it is
    with pytest.raises(Refused, match="DELTA_BYTE_ARRAY|damaged"):
        parquet.schema_of(path)


def test_a_text_that_many_rows_share_is_one_object_in_their_cells(tmp_path: Path) -> None:
    """Written out it would be 33 kB in each of the 50,000 rows of a batch."""
    towns = pa.DictionaryArray.from_arrays(pa.array(np.zeros(50_000, np.int32)), pa.array(["x" * 32_000]))
    pq.write_table(pa.table({"a": np.zeros(50_000), "town": towns}), tmp_path / "t.parquet")
    found = [row[1] for row in parquet.cells(tmp_path / "t.parquet")]
    assert len(found) == 50_000 and len({id(text) for text in found}) == 1


def not_utf8(text: bytes = b"\xff\xfe") -> pa.Array:
    offsets = pa.py_buffer(np.array([0, len(text)], np.int32).tobytes())
    return pa.Array.from_buffers(pa.string(), 1, [None, offsets, pa.py_buffer(text)])


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"a": [1.0], "b": not_utf8()}, "not UTF-8"),
        ({"a": [1.0], "b": not_utf8(b"x" * 300 + b"\xe3")}, "not UTF-8"),  # behind what of a category is kept
        ({"a": [1.0], "b": pa.array([1]).cast(pa.timestamp("us", "No/Where"))}, "time zone"),
        ({"a\0b": [1.0]}, "NUL"),
    ],
)
def test_texts_that_cannot_be_read_are_refused_in_one_sentence(tmp_path, columns, sentence) -> None:
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(Refused, match=sentence):
        read(tmp_path / "t.parquet", tmp_path)


def test_new_rows_have_the_numbers_that_the_fit_had(tmp_path: Path) -> None:
    """A float of 32 bits is another number by its digits: 0.1 is 0.10000000149."""
    cells = pa.array([0.1, None], pa.float32())
    pq.write_table(pa.table({"a": cells, "b": pa.array([0.1, 0.2], pa.float32())}), tmp_path / "t.parquet")
    _, stored = read(tmp_path / "t.parquet", tmp_path)
    (block,) = rows.brought(tmp_path / "t.parquet", "parquet", ["b", "a"], [], ["a", "b"], {"a", "b"})
    np.testing.assert_array_equal(block.numbers[:, ::-1], np.load(stored.matrix, allow_pickle=False))
    pq.write_table(pa.table({"a": [1.0, np.inf]}), tmp_path / "inf.parquet")
    with pytest.raises(Refused, match="Row 2, column \"a\" holds 'inf'"):
        list(rows.brought(tmp_path / "inf.parquet", "parquet", ["a"], [], ["a"], {"a"}))
