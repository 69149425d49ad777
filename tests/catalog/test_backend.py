"""One code base on every backend, and answers of every backend pass the same checks."""

import importlib.util

import numpy as np
import pytest

from tests.catalog.data import fitted, make
from workers.catalog import MODELS
from workers.catalog.backend import NUMPY, Backend, cupy_backend, find_backend, row_slices, torch_backend
from workers.catalog.base import Cancelled


def backend_named(kind: str) -> Backend:
    if kind == "torch on the CPU":
        if importlib.util.find_spec("torch") is None:
            pytest.skip("torch is not installed")
        found = torch_backend("cpu")
    elif kind == "torch on a GPU":
        found = torch_backend()
    else:
        found = cupy_backend()
    if found is None:
        pytest.skip(f"there is no {kind} here")
    return found


def target(name: str, y: np.ndarray) -> np.ndarray | None:
    if not MODELS[name].needs_target:
        return None
    return (y > np.mean(y)).astype(np.float64) if name == "logistic_regression" else y


@pytest.mark.parametrize("kind", ["torch on the CPU", "torch on a GPU", "CuPy"])
@pytest.mark.parametrize("data", ["breast cancer", "large mean", "collinear", "wide", "heavy tails"])
@pytest.mark.parametrize("name", sorted(MODELS))
def test_answers_of_a_device_pass(name, data, kind):
    model, backend = MODELS[name], backend_named(kind)
    X, y = make(data)
    params, answer = fitted(model, X, target(name, y), backend=backend)
    assert all(isinstance(array, np.ndarray) for array in answer.values())
    found = model.check(X, target(name, y), params, 3, answer, rng=np.random.default_rng(0))
    assert found.verdict == "accepted", found


def test_numpy_computes_where_there_is_no_gpu():
    if torch_backend() is None and cupy_backend() is None:
        assert find_backend() is NUMPY
        assert find_backend("torch") is NUMPY
    assert find_backend("numpy") is NUMPY
    assert NUMPY.dtype == "float64"


def test_unknown_backend_is_refused():
    with pytest.raises(ValueError, match="choose numpy, torch or cupy"):
        find_backend("jax")


def test_blocks_cover_every_row_once():
    X = np.zeros((1000, 7))
    covered = np.concatenate([np.arange(part.start, part.stop) for part in row_slices(X, 4096)])
    np.testing.assert_array_equal(covered, np.arange(1000))


@pytest.mark.parametrize("name", sorted(MODELS))
def test_memory_maps_are_read_as_they_are(name, tmp_path):
    X, y = make("heavy tails")
    np.save(tmp_path / "X.npy", np.column_stack([X, X[:, 0]]))
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")[:, : X.shape[1]]
    model = MODELS[name]
    params, answer = fitted(model, mapped, target(name, y))
    _, same = fitted(model, X, target(name, y))
    for key, array in answer.items():
        np.testing.assert_allclose(array, same[key], rtol=1e-9)
    found = model.check(mapped, target(name, y), params, 3, answer, rng=np.random.default_rng(0))
    assert found.verdict == "accepted"
    model.present(mapped, target(name, y), params, answer)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_dead_assignment_stops_the_fit(name):
    def cancel(fraction: float, note: str) -> None:
        raise Cancelled

    X, y = make("heavy tails")
    model = MODELS[name]
    with pytest.raises(Cancelled):
        model.fit(X, target(name, y), model.clean({}), 3, backend=NUMPY, progress=cancel)
