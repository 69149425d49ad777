"""Checking one answer, or one claim that nobody could answer, against the data."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marketplace.tables.arrays import open_array
from marketplace.verification.answers import read_answer
from workers.catalog import MODELS
from workers.catalog.backend import find_backend
from workers.catalog.base import AnswerError, CatalogModel, Check, DataError, no_progress
from workers.catalog.mapped import column, columns


@dataclass(frozen=True)
class Task:
    """What was to be computed."""

    model: str
    params: dict[str, Any]
    seed: int
    matrix: Path
    features: list[int]
    target: int | None


@dataclass(frozen=True)
class Finding:
    """A verdict, and for an accepted answer the result that the client reads."""

    check: Check
    scalars: dict[str, int | float | str | None] = field(default_factory=dict)
    arrays: dict[str, NDArray] = field(default_factory=dict)


def load(task: Task) -> tuple[NDArray, NDArray | None]:
    """X (rows × features) and y (rows,). X stays on the disk where it is large."""
    matrix = open_array(task.matrix)
    return np.asarray(columns(matrix, task.features)), None if task.target is None else column(matrix, task.target)


def check_answer(task: Task, answer_path: Path, secret: int) -> Finding:
    """Check the answer in the archive at `answer_path`. `secret` seeds the verifier's randomness."""
    model = MODELS[task.model]
    X, y = load(task)
    try:
        answer = read_answer(answer_path, model, task.params, *X.shape)
    except AnswerError as error:
        return Finding(Check("rejected", "names, shapes and dtypes", str(error), fault="worker"))
    found = model.check(X, y, task.params, task.seed, answer, rng=np.random.default_rng(secret))
    if found.verdict != "accepted":
        return Finding(found)
    return _present(model, task, found, X, y, answer)


def _present(model: CatalogModel, task: Task, found: Check, X: NDArray, y: NDArray | None, answer: Any) -> Finding:
    scalars: dict[str, int | float | str | None] = {}
    arrays: dict[str, NDArray] = {}
    for name, value in model.present(X, y, task.params, answer).items():
        if isinstance(value, np.ndarray) and value.ndim:
            arrays[name] = value
        else:
            plain = value.item() if isinstance(value, (np.generic, np.ndarray)) else value
            scalars[name] = plain if not isinstance(plain, float) or math.isfinite(plain) else None  # JSON has no NaN
    return Finding(found, scalars, arrays)


def check_claim(task: Task) -> str | None:
    """Whether the data make the model fail: the sentence that says how, or None where they do not."""
    X, y = load(task)
    try:
        MODELS[task.model].fit(X, y, task.params, task.seed, backend=find_backend("numpy"), progress=no_progress)
    except DataError as error:
        return str(error)
    return None
