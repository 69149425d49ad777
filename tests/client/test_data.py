"""What a client brings becomes a file whose bytes depend on the content alone, or is refused in one sentence."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from computenet_client import Refused
from computenet_client.data import numbers, prepared, read_archive
from tests.client.frames import Frame

TABLE = np.array([[1.0, 2.5], [3.0, -4.0], [5.5, 6.0]])


def sha256(X: Any, y: Any = None) -> str:
    with prepared(X, y) as file:
        return file.sha256


def test_equal_content_is_one_upload_whatever_brings_it() -> None:
    assert sha256(TABLE) == sha256(TABLE.tolist()) == sha256(np.asfortranarray(TABLE)) == sha256(TABLE.astype(">f8"))
    assert sha256(TABLE) == sha256(Frame(a=TABLE[:, 0], b=TABLE[:, 1]))
    assert sha256(TABLE, [1, 0, 1]) == sha256(TABLE, np.array([1, 0, 1]))


def test_other_content_is_another_upload() -> None:
    assert len({sha256(TABLE), sha256(TABLE + 1e-15), sha256(TABLE.T.copy()), sha256(TABLE, [1, 0, 1])}) == 4


def test_what_is_sent_is_what_was_given(tmp_path: Path) -> None:
    with prepared(TABLE, [1, 0, 1]) as file:
        arrays = read_archive(file.file)
    np.testing.assert_array_equal(arrays["X"], TABLE)
    np.testing.assert_array_equal(arrays["y"], [1, 0, 1])
    path = tmp_path / "flats.csv"
    path.write_text("a,b\n1,2\n")
    with prepared(path) as file:
        assert (file.filename, file.file.read()) == ("flats.csv", b"a,b\n1,2\n")


def test_of_a_frame_only_the_wanted_columns_are_sent() -> None:
    flats = Frame(price=[1.0, 2.0], city=["Bonn", "Mainz"], area=[70, 90])
    with prepared(flats, None, ["area", "price"]) as file:
        assert file.names == ("area", "price")
        np.testing.assert_array_equal(np.load(file.file), [[70.0, 1.0], [90.0, 2.0]])


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_of_pandas_and_polars_are_taken(library: str) -> None:
    frame = pytest.importorskip(library).DataFrame({"a": TABLE[:, 0], "b": TABLE[:, 1]})
    with prepared(frame, frame["a"]) as file:
        assert file.names == ("a", "b")
        assert file.sha256 == sha256(TABLE, TABLE[:, 0])


class Sparse:
    def toarray(self) -> np.ndarray:
        return TABLE


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([["a", "b"]], "X must hold real numbers"),
        ([[1, 2], [3]], "its rows equally long"),
        (np.array([[1 + 2j]]), "X must hold real numbers; it holds complex128."),
        (np.array([[object()]]), "X must be a table of numbers"),
        (Sparse(), "X is sparse"),
        ("flats.xlsx", "must end in .csv, .parquet, .npy or .npz"),
        ("no-such-file.csv", "There is no file"),
        (Frame(price=[1.0], city=["Bonn"]), 'Column "city" does not hold numbers'),
    ],
)
def test_what_is_no_table_of_numbers_is_refused_in_one_sentence(given: Any, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence.replace(".", r"\.").replace("(", r"\(")), prepared(given):
        pass


def test_wide_floats_are_narrowed_and_others_kept_as_they_are() -> None:
    assert numbers(np.array([1.5], dtype=np.longdouble), "X").dtype == np.float64
    assert numbers(np.array([1.5], dtype=np.float32), "X").dtype == np.float32
    assert numbers(np.array([True, None], dtype=object)[:1], "X").dtype == np.float64


def test_a_pickle_in_an_archive_is_never_opened() -> None:
    file = io.BytesIO()
    np.savez(file, X=np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(Refused, match="not an .npz archive of numeric arrays"):
        read_archive(file)
