"""Logistic regression."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from computenet_client import predictions
from computenet_client.estimators.base import NetworkEstimator, refuse_more
from computenet_client.network import Network


class LogisticRegression(ClassifierMixin, NetworkEstimator):  # type: ignore[misc]
    """Logistic regression with the penalty ‖w‖²/2C, as scikit-learn's with two classes.

    Of more classes each is fitted against the rest, as scikit-learn's `OneVsRestClassifier` does. Labels that are not
    numbers stay here: the network sees 0, 1, 2, … in their place.
    """

    model_type: ClassVar[str] = "logistic_regression"
    job_params: ClassVar[Mapping[str, str]] = {"C": "C"}
    fitted: ClassVar[tuple[str, ...]] = ("classes_", "coef_", "intercept_")

    def __init__(
        self, *, C: float = 1.0, network: Network | None = None, reward: float | None = None, verbose: bool = False
    ) -> None:
        self.C = C
        self.network = network
        self.reward = reward
        self.verbose = verbose

    def fit(self, X: Any, y: Any, **more: Any) -> Self:
        """Fit X (rows × features) to the labels y (rows,) on the network.

        Raises:
            ValueError: data that cannot be fitted; nothing was spent.
            ComputenetError: the network refused, or the job failed.
        """
        refuse_more(more)
        X, y = validate_data(self, X, y, dtype="float64", ensure_min_samples=2)
        check_classification_targets(y)
        classes, codes = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError("y holds one class only: a classifier needs at least two.")
        result = self._run(X, y if classes.dtype.kind in "biuf" else codes, C=self.C)
        self._take(result)
        self.classes_ = classes
        return self

    def decision_function(self, X: Any) -> NDArray[Any]:
        """Scores (rows × classes); with two classes (rows,), that of the second."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype="float64", reset=False)
        return predictions.class_scores(X, self.coef_, self.intercept_)

    def predict(self, X: Any) -> NDArray[Any]:
        """Labels (rows,)."""
        scores = self.decision_function(X)
        return np.asarray(self.classes_[predictions.best_class(scores)])

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Probabilities (rows × classes)."""
        return predictions.class_probabilities(self.decision_function(X))

    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """Logarithms of the probabilities (rows × classes)."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.predict_proba(X)))

    def _take(self, result: Mapping[str, Any]) -> None:
        self.coef_ = result["coefficients"]
        self.intercept_ = result["intercept"]
        classes = result["classes"]
        whole = classes.dtype.kind == "f" and (classes == np.round(classes)).all()
        self.classes_ = classes.astype(np.int64) if whole else classes
        self.n_features_in_ = self.coef_.shape[1]
