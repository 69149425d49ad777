"""From a specification and its matrix to an answer that passes the catalogue's own check."""

import logging
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.catalog import MODELS
from workers.catalog.backend import NUMPY, Backend, find_backend
from workers.catalog.base import (
    AnswerError,
    Cancelled,
    CatalogModel,
    DataError,
    Float,
    ParameterError,
    Progress,
    headers,
)
from workers.catalog.mapped import column, columns
from workers.limits import available_memory_bytes
from workers.protocol import Fault, Specification
from workers.settings import read_settings

log = logging.getLogger(__name__)


class Failed(Exception):
    """The assignment cannot be computed here. The message is one sentence without names of this host."""

    def __init__(self, fault: Fault, sentence: str) -> None:
        super().__init__(sentence)
        self.fault = fault


def check_specification(spec: Specification) -> CatalogModel:
    """The model that `spec` asks for, once its limits and columns make sense and fit this host.

    Raises:
        Failed
    """
    model = MODELS.get(spec["model"])
    if model is None:
        raise Failed("system", f"This worker's catalogue has no model {spec['model']!r:.60}.")
    rows, columns = spec["matrix"]["rows"], spec["matrix"]["columns"]
    used = [*spec["features"], *([] if spec["target"] is None else [spec["target"]])]
    if not spec["features"] or any(type(column) is not int or not 0 <= column < columns for column in used):
        raise Failed("system", "The specification names columns that the matrix does not have.")
    if model.needs_target and spec["target"] is None:
        raise Failed("system", "The specification names no target, and the model needs one.")
    limits = spec["limits"]
    if not math.isfinite(limits["seconds"]) or limits["seconds"] <= 0:
        raise Failed("system", "The specification's time limit is not a number of seconds.")
    needed = rows * len(used) * 8
    if needed > limits["memory_bytes"]:
        limit = limits["memory_bytes"]
        raise Failed("system", f"The data alone take {needed} bytes, above the job's limit of {limit}.")
    return model


def compute(
    spec: Specification, model: CatalogModel, matrix: Float, backends: Sequence[Backend], progress: Progress
) -> dict[str, NDArray[Any]]:
    """Fit `model` on the columns of `matrix` that `spec` names, and check the answer before anyone sees it.

    `backends` are tried in turn: the next one computes where a device fails, or where the check does not accept what
    it gave. NumPy's answer is sent even where the check is inconclusive: deciding on it is for the coordinator.

    Raises:
        Failed
        Cancelled: from `progress`.
    """
    X, y = select(matrix, spec)
    rows, features = X.shape
    try:
        params = model.clean(spec["params"])
        model.validate(params, rows, features)
    except ParameterError as problem:
        raise Failed("job", _sentence(problem)) from problem
    for number, backend in enumerate(backends, start=1):
        last = number == len(backends)
        try:
            answer = model.fit(X, y, params, spec["seed"], backend=backend, progress=progress)
            model.refuse_misfit(params, rows, features, headers(answer))
            rng = np.random.default_rng()
            verdict = model.check(X, y, params, spec["seed"], answer, rng=rng)
        except DataError as problem:
            raise Failed("job", _sentence(problem)) from problem
        except AnswerError as problem:
            raise Failed("system", f"The worker's answer is malformed: {_sentence(problem)}") from problem
        except Cancelled:
            raise
        except Exception as problem:
            if backend.name != "numpy" and not last:
                log.warning("The device failed; computing again without it.", exc_info=True)
                continue
            if isinstance(problem, MemoryError):
                raise Failed("worker", "The worker ran out of memory.") from problem
            raise
        if verdict.verdict == "accepted" or (verdict.verdict == "inconclusive" and backend.name == "numpy"):
            return answer
        log.warning("The answer does not pass its own check (%s): %s", verdict.verdict, verdict.reason)
    raise Failed("system", "The worker's answer did not pass its own check, computed twice.")


def select(matrix: Float, spec: Specification) -> tuple[Float, Float | None]:
    """X (rows × features) and y (rows,) of `spec`; X stays on the disk where it is large.

    Raises:
        Failed: the disk is full.
    """
    try:
        X = np.asarray(columns(matrix, spec["features"]))
    except OSError as problem:
        raise Failed("worker", "The worker's disk has no room for the columns that are fitted.") from problem
    return X, None if spec["target"] is None else column(matrix, spec["target"])


def fits_in_memory(needed_bytes: int) -> bool:
    """May a fit take `needed_bytes` of what this host has free? Yes where it does not tell."""
    available = available_memory_bytes()
    return available is None or needed_bytes <= available


def _sentence(problem: Exception) -> str:
    return " ".join(str(problem).split())[:300] or "The data cannot be fitted."


@lru_cache(maxsize=1)
def backends() -> tuple[Backend, Backend]:
    """What computes here, in the order of trying: the best there is, then NumPy in float64."""
    settings = read_settings()
    return find_backend("numpy" if settings.device == "cpu" else settings.backend or None), NUMPY
