"""Matrices that are mapped files are fitted, checked and told without being held in memory."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from workers.catalog import MODELS, mapped
from workers.catalog.backend import NUMPY
from workers.catalog.base import no_progress
from workers.catalog.mapped import column, columns, made, release, some, take

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
ROWS, FEATURES = 600_000, 24  # 120 MB with the target
MIB = 1024


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A matrix: rows in three groups, and a target of zeros and ones."""
    path = tmp_path_factory.mktemp("mapped") / "matrix.npy"
    rng = np.random.default_rng(0)
    whole = np.lib.format.open_memmap(path, "w+", np.float64, (ROWS, FEATURES + 1))
    for start in range(0, ROWS, 50_000):
        X = rng.normal(size=(50_000, FEATURES)) + 3 * rng.integers(3, size=50_000)[:, None]
        whole[start : start + 50_000, :FEATURES] = X
        whole[start : start + 50_000, FEATURES] = X[:, 0] + rng.normal(size=50_000) > 3
    del whole
    yield path
    path.unlink()


@pytest.fixture
def matrix(file: Path, monkeypatch: pytest.MonkeyPatch) -> np.memmap:
    """A new map, of which nothing was read; it counts as a large one."""
    monkeypatch.setattr(mapped, "LEFT_BYTES", 0)
    return np.load(file, mmap_mode="r")


def growth_mib(act: Callable[[], object]) -> float:
    """By how much the resident set grew at the most while `act` ran."""
    if not CLEAR.exists():
        pytest.skip("the peak of memory is read from Linux's /proc")

    def kilobytes(name: str) -> int:
        found = re.search(rf"^{name}:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE)
        assert found is not None
        return int(found[1])

    CLEAR.write_text("5")  # sets the peak back
    before = kilobytes("VmRSS")
    act()
    return (kilobytes("VmHWM") - before) / MIB


# A ridge regression is a linear one with a penalty, in memory too.
@pytest.mark.parametrize("name", sorted(set(MODELS) - {"ridge_regression"}))
def test_a_mapped_matrix_is_fitted_checked_and_told_without_being_held(matrix: np.memmap, name: str) -> None:
    model, rng = MODELS[name], np.random.default_rng(0)
    X, y, answer = np.asarray(columns(matrix, range(FEATURES))), None, {}
    params = model.clean({"C": 1e-5} if "logistic" in name else {})  # few steps

    def fit() -> None:
        nonlocal y
        y = column(matrix, FEATURES) if model.needs_target else None
        answer.update(model.fit(X, y, params, 3, backend=NUMPY, progress=no_progress))

    with threadpool_limits(1):  # on a busy machine several threads wait for each other
        grown = {
            "fitted": growth_mib(fit),
            "checked": growth_mib(lambda: model.check(X, y, params, 3, answer, rng=rng)),
            "told": growth_mib(lambda: model.present(X, y, params, answer)),
        }
    assert max(grown.values()) < 0.75 * matrix.nbytes / MIB**2, grown


def test_a_copy_of_some_columns_is_a_map_too_where_it_is_large(matrix: np.memmap) -> None:
    numbers = [*range(FEATURES - 1), FEATURES]  # all but the last but one: no neighbours
    found: list[np.ndarray] = []
    grown = growth_mib(lambda: found.append(columns(matrix, numbers)))
    for rows in (slice(1000), slice(ROWS // 2, ROWS // 2 + 1000), slice(-1000, None)):
        assert np.array_equal(found[0][rows], np.asarray(matrix[rows])[:, numbers])
    assert grown < 0.75 * matrix.nbytes / MIB**2
    assert sorted(path.name for path in Path(matrix.filename).parent.iterdir()) == ["matrix.npy"]


def test_a_few_columns_are_copied_so_that_reading_them_does_not_bring_the_whole_map(matrix: np.memmap) -> None:
    found: list[np.ndarray] = []
    grown = growth_mib(lambda: found.append(columns(matrix, [3, 4]).copy()))
    assert np.array_equal(found[0][-1000:], np.asarray(matrix[-1000:, 3:5]))
    assert grown < 0.75 * matrix.nbytes / MIB**2


def test_rows_of_a_map_are_those_of_the_array_however_they_lie(matrix: np.memmap) -> None:
    rng, plain = np.random.default_rng(1), matrix.view()
    far = np.sort(rng.choice(ROWS, 2000, replace=False))
    for rows in (far, np.arange(5000, 9000), np.array([0, ROWS - 1]), np.array([7, 7, 7]), far[:0]):
        assert np.array_equal(take(matrix, rows), plain[rows])
    assert np.array_equal(some(matrix, 256), plain[:: ROWS // 256])
    assert growth_mib(lambda: take(matrix, far)) < 0.75 * matrix.nbytes / MIB**2


def test_what_was_written_into_a_map_is_kept_when_its_pages_are_let_go(matrix: np.memmap) -> None:
    array = made((9, 1 << 20), matrix)
    array[:] = np.arange(9.0)[:, None]
    release(array)
    assert isinstance(array, np.memmap) and np.array_equal(array[:, -1], np.arange(9.0))
    assert not isinstance(made((9, 1), matrix), np.memmap) and not isinstance(made((9, 1 << 20), np.ones(3)), np.memmap)


def test_what_only_memory_holds_is_never_let_go(matrix: np.memmap) -> None:
    private = np.load(matrix.filename, mmap_mode="c")
    private[0] = 5.0
    release(private)
    assert (private[0] == 5.0).all()
