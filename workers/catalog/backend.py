"""One way to NumPy, torch and CuPy: an array-API namespace, its device, and blocks of rows moved there."""

import gc
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import array_api_compat.numpy as numpy_namespace
import numpy as np
from numpy.typing import NDArray

from workers.catalog.mapped import walk

BLOCK_BYTES_NUMPY = 2 << 20  # a block and its products stay in a core's cache
BLOCK_BYTES_DEVICE = 256 << 20


@dataclass(frozen=True)
class Backend:
    """Where a fit computes.

    `xp` is an array-API namespace. `dtype` names the dtype of the bulk of the work: float64 on the CPU, float32 on
    a GPU; what needs more is asked for as float64 by the model.
    """

    name: str  # "numpy", "torch" or "cupy"
    xp: Any
    device: Any
    dtype: str

    def asarray(self, array: NDArray[Any], dtype: str = "float64") -> Any:
        """`array` on the device. On the CPU a float64 array (or memory map) is not copied."""
        if self.name == "numpy":
            return np.asarray(array, dtype=dtype)
        converted = np.ascontiguousarray(array, dtype=dtype)
        if not converted.flags.writeable:  # torch warns of memory that it must not write
            converted = converted.copy()
        return self.xp.asarray(converted, device=self.device)

    def to_numpy(self, array: Any) -> NDArray[Any]:
        if self.name == "torch":
            return np.asarray(array.cpu().numpy())
        if self.name == "cupy":
            return np.asarray(array.get())
        return np.asarray(array)

    def astype(self, array: Any, dtype: str) -> Any:
        return self.xp.astype(array, getattr(self.xp, dtype), copy=False)

    def free_memory(self) -> None:
        """Give the device's memory that no array uses any more back to the driver."""
        if self.name == "numpy":
            return
        gc.collect()
        library = importlib.import_module(self.name)
        if self.name == "torch":
            library.cuda.empty_cache()
        else:
            library.get_default_memory_pool().free_all_blocks()
            library.get_default_pinned_memory_pool().free_all_blocks()

    def blocks(self, X: NDArray[np.float64], dtype: str = "float64") -> Iterator[tuple[slice, Any]]:
        """Blocks of rows of `X`, in order, with the slice of rows that each is."""
        for rows in row_slices(X, BLOCK_BYTES_NUMPY if self.name == "numpy" else BLOCK_BYTES_DEVICE):
            yield rows, self.asarray(X[rows], dtype)


def row_slices(
    X: NDArray[np.float64], block_bytes: int = BLOCK_BYTES_NUMPY, into: NDArray[np.float64] | None = None
) -> Iterator[slice]:
    """Slices of rows of `X` that hold about `block_bytes` each (at least one row); `into`: see `walk`."""
    size = max(1, block_bytes // max(1, 8 * X.shape[1]))
    yield from walk(X, size, into)


NUMPY = Backend("numpy", numpy_namespace, "cpu", "float64")


def find_backend(prefer: str | None = None) -> Backend:
    """torch or CuPy where one of them finds a GPU (`prefer` first), else NumPy.

    Raises:
        ValueError: `prefer` is none of "numpy", "torch", "cupy".
    """
    if prefer not in (None, "numpy", "torch", "cupy"):
        raise ValueError(f"No backend is called {prefer!r}: choose numpy, torch or cupy.")
    if prefer == "numpy":
        return NUMPY
    finders = [torch_backend, cupy_backend]
    if prefer == "cupy":
        finders.reverse()
    for finder in finders:
        found = finder()
        if found is not None:
            return found
    return NUMPY


def torch_backend(device: str = "cuda") -> Backend | None:
    """torch on `device`, or None where torch or that device is missing."""
    try:
        torch = importlib.import_module("torch")
        namespace = importlib.import_module("array_api_compat.torch")
    except (ImportError, OSError):  # OSError: a torch whose shared libraries do not load
        return None
    if device.startswith("cuda") and not torch.cuda.is_available():
        return None
    torch.set_float32_matmul_precision("highest")  # no TF32: its products keep 10 bits and never pass a check
    return Backend("torch", namespace, device, "float32")


def cupy_backend() -> Backend | None:
    """CuPy on its current GPU, or None where there is none. TF32 is off in CuPy unless CUPY_TF32 asks for it."""
    try:
        cupy = importlib.import_module("cupy")
        namespace = importlib.import_module("array_api_compat.cupy")
        if cupy.cuda.runtime.getDeviceCount() < 1:
            return None
    except Exception:  # CuPy raises errors of the driver's own, whose classes exist only where it is installed
        return None
    return Backend("cupy", namespace, cupy.cuda.Device(), "float32")
