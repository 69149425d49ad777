"""Principal component analysis."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from computenet_client import predictions
from computenet_client.estimators.base import NetworkEstimator, refuse_more
from computenet_client.network import Network


class PCA(ClassNamePrefixFeaturesOutMixin, TransformerMixin, NetworkEstimator):  # type: ignore[misc]
    """Principal components, centred and not scaled, as scikit-learn's `PCA(svd_solver="full")`.

    `n_components` is a whole number, or None for the smaller of rows and features. The sign of a component is such
    that its largest entry by size is positive, as in scikit-learn.
    """

    model_type: ClassVar[str] = "pca_analysis"
    job_params: ClassVar[Mapping[str, str]] = {"n_components": "n_components"}
    fitted: ClassVar[tuple[str, ...]] = (
        "components_", "explained_variance_", "explained_variance_ratio_", "singular_values_", "mean_",
        "n_components_", "n_samples_", "noise_variance_",
    )  # fmt: skip

    def __init__(
        self,
        n_components: int | None = None,
        *,
        network: Network | None = None,
        reward: float | None = None,
        verbose: bool = False,
    ) -> None:
        self.n_components = n_components
        self.network = network
        self.reward = reward
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None, **more: Any) -> Self:
        """Find the components of X (rows × features) on the network; y is not looked at.

        Raises:
            ValueError: data that cannot be analysed; nothing was spent.
            ComputenetError: the network refused, or the job failed.
        """
        self._fit(X, more)
        return self

    def fit_transform(self, X: Any, y: Any = None, **more: Any) -> NDArray[Any]:
        """Fit, and X in the directions of the components (rows × components)."""
        return predictions.projected(self._fit(X, more), self.mean_, self.components_)

    def _fit(self, X: Any, more: Mapping[str, Any]) -> NDArray[Any]:
        refuse_more(more)
        table: NDArray[Any] = validate_data(self, X, dtype="float64", ensure_min_samples=2)
        kept = min(table.shape) if self.n_components is None else self.n_components
        if isinstance(kept, bool) or not hasattr(kept, "__index__"):
            raise ValueError("n_components must be None or a whole number: the network takes no shares and no 'mle'.")
        self._take(self._run(table, n_components=kept.__index__()))
        return table

    def transform(self, X: Any) -> NDArray[Any]:
        """X in the directions of the components (rows × components)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype="float64", reset=False)
        return predictions.projected(X, self.mean_, self.components_)

    def inverse_transform(self, X: Any) -> NDArray[Any]:
        """Rows (rows × features) whose components are X (rows × components)."""
        check_is_fitted(self)
        return np.asarray(np.asarray(X, dtype="float64") @ self.components_ + self.mean_)

    def get_covariance(self) -> NDArray[Any]:
        """The covariance (features × features) of the probabilistic model: the components, and noise around them."""
        check_is_fitted(self)
        beyond = np.maximum(self.explained_variance_ - self.noise_variance_, 0.0)
        covariance = np.asarray((self.components_.T * beyond) @ self.components_)
        covariance[np.diag_indices_from(covariance)] += self.noise_variance_
        return covariance

    def get_precision(self) -> NDArray[Any]:
        """The inverse of `get_covariance`.

        Raises:
            LinAlgError: it has none: a direction has no variance.
        """
        return np.linalg.inv(self.get_covariance())

    def score_samples(self, X: Any) -> NDArray[Any]:
        """The log-likelihood (rows,) of each row under the probabilistic model (Tipping and Bishop 1999)."""
        check_is_fitted(self)
        centred = validate_data(self, X, dtype="float64", reset=False) - self.mean_
        precision = self.get_precision()
        constant = self.n_features_in_ * np.log(2.0 * np.pi) - np.linalg.slogdet(precision)[1]
        return np.asarray(-0.5 * (np.einsum("ij,jk,ik->i", centred, precision, centred, optimize=True) + constant))

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of `score_samples`."""
        return float(np.mean(self.score_samples(X)))

    def _take(self, result: Mapping[str, Any]) -> None:
        self.components_ = result["components"]
        self.explained_variance_ = result["explained_variance"]
        self.explained_variance_ratio_ = result["explained_variance_ratio"]
        self.mean_ = result["mean"]
        self.n_components_, self.n_features_in_ = self.components_.shape
        self.n_samples_ = len(result["transformed_data"])
        self.singular_values_ = np.sqrt(self.explained_variance_ * (self.n_samples_ - 1))
        self.noise_variance_ = self._rest()

    def _rest(self) -> float:
        """The mean variance of the directions that were not kept; 0 where all were."""
        left = int(min(self.n_samples_, self.n_features_in_) - self.n_components_)
        ratio = float(self.explained_variance_ratio_.sum())
        if left == 0 or not 0.0 < ratio < 1.0:
            return 0.0
        return float(self.explained_variance_.sum()) * (1.0 - ratio) / ratio / left

    @property
    def _n_features_out(self) -> int:
        return int(self.components_.shape[0])
