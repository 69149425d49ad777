"""What a model of the catalogue is: its parameters, how it is fitted, how an answer is checked and presented.

One file a model defines a `CatalogModel` and names an instance ``MODEL``; the package finds it. The same code runs
on a contributor's GPU (`fit`, and `check` on its own answer before it is sent) and on the trusted side (`validate`
when a job is made, `check` when its answer is in, `present` when it was accepted).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from workers.catalog.backend import Backend
from workers.catalog.parameters import Parameter, ParameterError, clean

__all__ = ["Parameter", "ParameterError"]

Float = NDArray[np.float64]
Params = Mapping[str, Any]
Answer = Mapping[str, NDArray[Any]]
Progress = Callable[[float, str], None]  # fraction done, a note for people; raises Cancelled to stop the fit
Verdict = Literal["accepted", "rejected", "inconclusive"]
Fault = Literal["", "worker", "job", "system"]


class DataError(ValueError):
    """The data make the model fail: the job's fault, not the worker's. The message is one sentence."""


class AnswerError(ValueError):
    """An answer whose arrays are not those of its model. The message is one sentence."""


class Cancelled(Exception):
    """Raised by a `Progress` callback to stop a fit whose assignment is dead."""


@dataclass(frozen=True)
class Length:
    """A length that the worker chooses: the same wherever `name` stands, and between 0 and `maximum`."""

    name: str
    maximum: int


@dataclass(frozen=True)
class ArraySpec:
    """One array of an answer: its exact dtype (as ``np.dtype(...).name`` says it) and its shape."""

    shape: tuple[int | Length, ...]
    dtype: str = "float64"

    @property
    def bytes_max(self) -> int:
        lengths = (size.maximum if isinstance(size, Length) else size for size in self.shape)
        return math.prod(lengths) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Check:
    """What checking an answer found.

    `measured` and `tolerance` are in the unit that `method` states; `measured <= tolerance` accepts.
    `bound` says in words what an accepted answer is worth; `error_chance` is the stated chance of being fooled.
    `fault` is "worker" for a rejected answer; for an inconclusive one it says what to blame instead.
    """

    verdict: Verdict
    method: str
    reason: str  # one sentence
    measured: float = float("nan")
    tolerance: float = float("nan")
    bound: str = ""
    error_chance: float = 0.0
    detail: dict[str, float] = field(default_factory=dict)
    fault: Fault = ""


class CatalogModel(ABC):
    """One model. Stateless; all methods may be called from any thread."""

    name: ClassVar[str]  # a job's `model_type`
    result_name: ClassVar[str]  # what a result calls it in its field `model`
    title: ClassVar[str]
    help: ClassVar[str]  # one sentence for people
    version: ClassVar[int]  # raised when `fit` or `check` change what they promise
    needs_target: ClassVar[bool]
    classifies: ClassVar[bool] = False  # the target's values are classes, not quantities
    parameters: ClassVar[tuple[Parameter, ...]]

    def clean(self, given: Params) -> dict[str, Any]:
        """`given` with defaults filled in.

        Raises:
            ParameterError: an unknown name, a wrong type (bool is not a number), a value out of its range.
        """
        return clean(self.name, self.parameters, given)

    @abstractmethod
    def validate(self, params: Params, rows: int, features: int) -> None:
        """Refuse shapes that cannot work (k > n, too few rows) before any money is held.

        Raises:
            ParameterError: with one sentence that says what to change.
        """

    @abstractmethod
    def operations(self, params: Params, rows: int, features: int) -> float:
        """Floating-point operations that a fit should take, for quotes."""

    @abstractmethod
    def answer_shapes(self, params: Params, rows: int, features: int) -> dict[str, ArraySpec]:
        """The arrays of an answer, their dtypes and shapes. Whatever differs is refused unread."""

    def answer_bytes_max(self, params: Params, rows: int, features: int) -> int:
        """No answer of the right shapes holds more bytes of array data than this."""
        return sum(spec.bytes_max for spec in self.answer_shapes(params, rows, features).values())

    def refuse_misfit(
        self, params: Params, rows: int, features: int, found: Mapping[str, tuple[str, tuple[int, ...]]]
    ) -> None:
        """Refuse an answer by the headers of its arrays: `found` maps each name to (dtype name, shape).

        Raises:
            AnswerError: a missing or extra array, another dtype, another shape.
        """
        specs = self.answer_shapes(params, rows, features)
        if set(found) != set(specs):
            raise AnswerError(f"The answer must hold exactly the arrays {', '.join(sorted(specs))}.")
        chosen: dict[str, int] = {}
        for name, spec in specs.items():
            dtype, shape = found[name]
            if dtype != spec.dtype:
                raise AnswerError(f"The array {name} must be {spec.dtype}.")
            if len(shape) != len(spec.shape):
                raise AnswerError(f"The array {name} must have {len(spec.shape)} dimensions.")
            for size, wanted in zip(shape, spec.shape, strict=True):
                if isinstance(wanted, Length):
                    fits = 0 <= size <= wanted.maximum and chosen.setdefault(wanted.name, size) == size
                else:
                    fits = size == wanted
                if not fits:
                    raise AnswerError(f"The array {name} has the wrong shape {shape}.")

    @abstractmethod
    def fit(
        self, X: Float, y: Float | None, params: Params, seed: int, *, backend: Backend, progress: Progress
    ) -> dict[str, NDArray[Any]]:
        """Fit on `X` (rows × features) and `y` (rows,) and answer the NumPy arrays that `answer_shapes` says.

        Raises:
            DataError: the data cannot be fitted.
            Cancelled: from `progress`.
        """

    @abstractmethod
    def check(
        self, X: Float, y: Float | None, params: Params, seed: int, answer: Answer, *, rng: np.random.Generator
    ) -> Check:
        """Is `answer` right for this data? Starts with the cheapest tier and escalates what is inconclusive.

        `X` may be a memory map larger than memory: it is read in blocks of rows. `rng` is secret and drawn after
        the answer was committed to. Never raises on a hostile answer, whatever its arrays hold.

        "rejected" is an exact failure that the catalogue's own float64 run does not share.
        """

    @abstractmethod
    def present(self, X: Float, y: Float | None, params: Params, answer: Answer) -> dict[str, Any]:
        """The result that a client reads: the accepted answer, and every derived number and array recomputed here.

        Keys are the seed's result fields; values are NumPy arrays or Python numbers.
        """


def headers(answer: Answer) -> dict[str, tuple[str, tuple[int, ...]]]:
    """What `CatalogModel.refuse_misfit` takes, of arrays that are in memory."""
    return {name: (array.dtype.name, array.shape) for name, array in answer.items()}


def refused_unread(model: CatalogModel, params: Params, X: Float, answer: Answer) -> Check | None:
    """Reject wrong names, shapes, dtypes, NaN and infinities, before anything is computed from the answer."""
    try:
        model.refuse_misfit(params, X.shape[0], X.shape[1], headers(answer))
    except AnswerError as error:
        return Check("rejected", "shapes and dtypes", str(error), fault="worker")
    for name, array in answer.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return Check("rejected", "finite numbers", f"The array {name} holds NaN or an infinity.", fault="worker")
    return None


def no_progress(fraction: float, note: str) -> None:
    """A `Progress` for runs that nobody watches."""
