"""Reading arrays whose headers may lie."""

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from marketplace.domain.errors import Refused
from marketplace.tables import arrays


def npy(array: np.ndarray, **more) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **more)
    return file.getvalue()


def lying(shape: tuple[int, ...], descr: str = "<f8", data: bytes = b"\0" * 80) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue() + data


def read(tmp_path: Path, content: bytes, reader=arrays.read, max_cells: int = 10_000):
    path = tmp_path / "array"
    path.write_bytes(content)
    with (tmp_path / "matrix.npy").open("w+b") as matrix:
        columns, _ = reader(path, matrix, max_cells)
    return columns, np.load(tmp_path / "matrix.npy", allow_pickle=False)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "uint8", "bool", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_plain_numbers_of_any_kind_become_float64(tmp_path, dtype, order):
    array = np.asarray(np.arange(12).reshape(4, 3) % 2, dtype=dtype, order=order)
    columns, matrix = read(tmp_path, npy(array))
    np.testing.assert_array_equal(matrix, array.astype(float))
    assert matrix.dtype == np.float64
    assert [c.name for c in columns] == ["column_0", "column_1", "column_2"]


def test_one_dimension_is_one_column(tmp_path):
    assert read(tmp_path, npy(np.arange(3.0)))[1].shape == (3, 1)


def test_the_network_writes_the_same_archive_at_any_time_of_day(tmp_path):
    first, second = io.BytesIO(), io.BytesIO()
    for file in (first, second):
        arrays.save_archive(file, {"X": np.eye(2), "y": np.ones(2)})
    assert first.getvalue() == second.getvalue()
    columns, matrix = read(tmp_path, first.getvalue(), arrays.read_archive)
    assert [c.name for c in columns] == ["column_0", "column_1", "y"]
    assert matrix.tolist() == [[1, 0, 1], [0, 1, 1]]


def test_a_number_without_dimensions_survives_the_archive():
    file = io.BytesIO()
    arrays.save_archive(file, {"intercept": np.float64(2.5)})
    file.seek(0)
    assert np.load(file, allow_pickle=False)["intercept"].shape == ()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "not a .npy"),
        (b"\x93NUMPY\x01\x00", "not a .npy"),
        (pickle.dumps([1.0]), "not a .npy"),
        (npy(np.array([object()], dtype=object), allow_pickle=True), "never objects"),
        (npy(np.array(["a"])), "plain numbers"),
        (npy(np.array([1j])), "plain numbers"),
        (npy(np.zeros(2, dtype="f8,i4")), "plain numbers"),
        (npy(np.zeros((2, 2, 2))), "2 dimensions"),
        (npy(np.zeros((0, 3))), "empty"),
        (lying((2**40, 2**20)), "does not fit"),
        (lying((2**32, 2**32)), "does not fit"),
        (lying((11,)), "does not fit"),
        (lying((9,)), "does not fit"),
        (lying((-10,)), "does not fit|not a .npy"),
        (npy(np.array([[1.0, np.inf]])), "infinite"),
        (npy(np.zeros((10_001, 1))), "more than 10,000"),
        (npy(np.zeros((1, 20_001))), "20,001 columns"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused_in_a_sentence(tmp_path, content, sentence):
    with pytest.raises(Refused, match=sentence):
        read(tmp_path, content)


def archive(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in members.items():
            opened.writestr(f"{name}.npy", content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"PK\x03\x04rubbish", "cannot be read"),
        (archive(), "must hold one array"),
        (archive(a=npy(np.eye(2)), b=npy(np.eye(2))), "must hold one array"),
        (archive(X=npy(np.eye(2)), y=npy(np.ones(3))), "one number for each"),
        (archive(X=npy(np.array([object()], dtype=object), allow_pickle=True)), "never objects"),
        (archive(X=b"\0" * 50_000_000), "more than 10,000"),
    ],
)
def test_what_is_no_archive_of_arrays_is_refused_in_a_sentence(tmp_path, content, sentence):
    with pytest.raises(Refused, match=sentence):
        read(tmp_path, content, arrays.read_archive)


def test_an_archive_of_one_array_of_any_name_is_that_array(tmp_path):
    assert read(tmp_path, archive(data=npy(np.eye(2))), arrays.read_archive)[1].tolist() == [[1, 0], [0, 1]]
