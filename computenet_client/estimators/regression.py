"""Linear regressions."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from computenet_client import predictions
from computenet_client.estimators.base import NetworkEstimator, refuse_more
from computenet_client.network import Network


class _Linear(RegressorMixin, NetworkEstimator):  # type: ignore[misc]
    """Coefficients `coef_` (features,) and `intercept_`, which is always fitted."""

    fitted: ClassVar[tuple[str, ...]] = ("coef_", "intercept_")

    def fit(self, X: Any, y: Any, **more: Any) -> Self:
        """Fit X (rows × features) to y (rows,) on the network.

        Raises:
            ValueError: data that cannot be fitted; nothing was spent.
            ComputenetError: the network refused, or the job failed.
        """
        refuse_more(more)
        X, y = validate_data(self, X, y, dtype="float64", y_numeric=True, ensure_min_samples=2)
        self._take(self._run(X, y, **{name: getattr(self, own) for name, own in self.job_params.items()}))
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Predictions (rows,)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype="float64", reset=False)
        return predictions.linear(X, self.coef_, self.intercept_)

    def _take(self, result: Mapping[str, Any]) -> None:
        self.coef_ = result["coefficients"]
        self.intercept_ = float(result["intercept"])
        self.n_features_in_ = len(self.coef_)


class LinearRegression(_Linear):
    """Ordinary least squares, as scikit-learn's `LinearRegression`."""

    model_type: ClassVar[str] = "linear_regression"
    job_params: ClassVar[Mapping[str, str]] = {}

    def __init__(self, *, network: Network | None = None, reward: float | None = None, verbose: bool = False) -> None:
        self.network = network
        self.reward = reward
        self.verbose = verbose


class Ridge(_Linear):
    """Least squares with the penalty `alpha`‖w‖², as scikit-learn's `Ridge`."""

    model_type: ClassVar[str] = "ridge_regression"
    job_params: ClassVar[Mapping[str, str]] = {"alpha": "alpha"}

    def __init__(
        self, alpha: float = 1.0, *, network: Network | None = None, reward: float | None = None, verbose: bool = False
    ) -> None:
        self.alpha = alpha
        self.network = network
        self.reward = reward
        self.verbose = verbose
