"""Logistic regression with a squared penalty: two classes, or one against the rest for each of more."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from workers.catalog import least_squares, logistic
from workers.catalog.backend import NUMPY, Backend, row_slices
from workers.catalog.base import (
    Answer,
    ArraySpec,
    CatalogModel,
    Check,
    DataError,
    Float,
    Length,
    Parameter,
    ParameterError,
    Params,
    Progress,
    no_progress,
    refused_unread,
)
from workers.catalog.mapped import made

CLASSES_MAX = 50
FEATURES_MAX = 4096
METHOD = "duality gap: the excess over the least objective, over what is tolerated"
BOUND = (
    "The objective exceeds the least possible by at most {:.1e} of itself, so the coefficients lie within a small part "
    "of a standard error of the exact ones. The bound is rigorous: it holds for all data, without chance."
)


class LogisticRegression(CatalogModel):
    """Minimises ½‖w‖² + C Σ log(1 + exp(−s_i(w·x_i + c))), s_i = ±1, as scikit-learn's `LogisticRegression` does for
    two classes; c is not penalised.

    The target holds class labels: numbers, at most 50 different ones, in ascending order the `classes`. Of two
    classes the second is +1 and there is one row of coefficients. Of more, each class is fitted against the rest, a
    row each, and a prediction is the class of the highest score.
    """

    name: ClassVar[str] = "logistic_regression"
    result_name: ClassVar[str] = "logistic_regression"
    title: ClassVar[str] = "Logistic regression"
    help: ClassVar[str] = "Learns to tell classes apart from examples, with a probability for each."
    version: ClassVar[int] = 1
    needs_target: ClassVar[bool] = True
    classifies: ClassVar[bool] = True
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("C", float, 1.0, "How far the data are followed; small keeps coefficients small.", 1e-6, 1e6),
    )

    def validate(self, params: Params, rows: int, features: int) -> None:
        if rows < 2:
            raise ParameterError("A regression needs at least two rows.")
        if not 1 <= features <= FEATURES_MAX:
            raise ParameterError(f"A logistic regression takes 1 to {FEATURES_MAX} feature columns.")

    def operations(self, params: Params, rows: int, features: int) -> float:
        return 10.0 * (2.0 * rows * features**2 + 20.0 * rows * features + features**3)

    def answer_shapes(self, params: Params, rows: int, features: int) -> dict[str, ArraySpec]:
        fits = Length("fits", CLASSES_MAX)  # 1 for two classes, else one for each
        return {"coefficients": ArraySpec((fits, features)), "intercept": ArraySpec((fits,))}

    def fit(
        self, X: Float, y: Float | None, params: Params, seed: int, *, backend: Backend, progress: Progress
    ) -> dict[str, NDArray[Any]]:
        target, _, positives = _classes(y)
        at = least_squares.moments(X, _signs(target, positives[0]), 0.0)
        found = []
        for number, label in enumerate(positives):
            progress(number / len(positives), f"fit {number + 1} of {len(positives)}")
            found.append(logistic.newton(X, _signs(target, label), params["C"], at, backend))
        return {"coefficients": np.array([w for w, _ in found]), "intercept": np.array([c for _, c in found])}

    def check(
        self, X: Float, y: Float | None, params: Params, seed: int, answer: Answer, *, rng: np.random.Generator
    ) -> Check:
        refused = refused_unread(self, params, X, answer)
        if refused is not None:
            return refused
        try:
            target, _, positives = _classes(y)
            if len(answer["coefficients"]) != len(positives):
                reason = f"There must be {len(positives)} rows of coefficients for these classes."
                return Check("rejected", "shapes and dtypes", reason, fault="worker")
            found = _measure(X, target, positives, params["C"], answer)
            if found.verdict == "accepted":
                return found
            own = self.fit(X, y, params, seed, backend=NUMPY, progress=no_progress)
        except DataError as error:
            return Check("inconclusive", METHOD, str(error), fault="job")
        if _measure(X, target, positives, params["C"], own).verdict != "accepted":
            reason = "The columns' scales differ so much that rounding decides the answer: scale the columns."
            return Check("inconclusive", METHOD, reason, found.measured, 1.0, fault="job")
        return found

    def present(self, X: Float, y: Float | None, params: Params, answer: Answer) -> dict[str, Any]:
        target, classes, positives = _classes(y)
        coefficients = np.asarray(answer["coefficients"], dtype=np.float64)
        intercept = np.array([
            logistic.best_intercept(logistic.scores(X, w), int((target == label).sum()))
            for w, label in zip(coefficients, positives, strict=True)
        ])  # fmt: skip
        best, chances = np.empty(len(X), dtype=np.int64), made((len(X), len(classes)), X)
        for rows in row_slices(X, into=chances):
            z = np.column_stack([X[rows] @ w for w in coefficients]) + intercept
            chance = logistic.sigmoid(z)
            if len(classes) == 2:
                chances[rows] = np.column_stack([1.0 - chance[:, 0], chance[:, 0]])
                best[rows] = z[:, 0] > 0
            else:
                chances[rows] = chance / np.maximum(chance.sum(axis=1, keepdims=True), 1e-300)
                best[rows] = z.argmax(axis=1)
        predictions = classes[best]
        return {
            "classes": classes,
            "coefficients": coefficients,
            "intercept": intercept,
            "accuracy": float(np.mean(predictions == y)),
            "predictions": predictions,
            "probabilities": chances,
        }


def tolerance(objective: float, C: float, features: int) -> float:
    """The excess that is tolerated: 1e-6 of the objective, and 5e-4 a coefficient in units of the log-likelihood
    (half of a squared standard error each 1e-3), but no less than rounding."""
    return max(min(1e-6 * objective, 5e-4 * C * features), 1e-12 * objective)


def _measure(X: Float, y: Float, positives: Float, C: float, answer: Answer) -> Check:
    worst, relative = 0.0, 0.0
    with np.errstate(all="ignore"):
        for label, w, c in zip(positives, answer["coefficients"], answer["intercept"], strict=True):
            found = logistic.excess(X, _signs(y, label), np.asarray(w), float(c), C)
            allowed = tolerance(found.objective, C, X.shape[1])
            ratio = found.bound / allowed
            if not ratio <= 1.0:
                reason = "The objective is not the least: the coefficients are not the optimum."
                return Check("rejected", METHOD, reason, ratio, 1.0, fault="worker")
            worst, relative = max(worst, ratio), max(relative, allowed / found.objective)
    reason = "The excess over the least objective is within the tolerance."
    return Check("accepted", METHOD, reason, worst, 1.0, BOUND.format(relative))


def _classes(y: Float | None) -> tuple[Float, Float, Float]:
    """The target, its classes in ascending order, and of these the ones that are fitted against the rest.

    Raises:
        DataError: no target, one class, or more than 50.
    """
    if y is None:
        raise DataError("A regression needs a target column.")
    classes = np.unique(y)
    if not 2 <= len(classes) <= CLASSES_MAX:
        raise DataError(
            f"The target has {len(classes)} different values: a logistic regression takes 2 to {CLASSES_MAX} classes."
        )
    return y, classes, classes[1:] if len(classes) == 2 else classes


def _signs(y: Float, label: float) -> Float:
    """1 where the target is `label`, else −1."""
    return np.where(y == label, 1.0, -1.0)


MODEL = LogisticRegression()
