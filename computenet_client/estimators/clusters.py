"""K-means."""

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.utils.validation import check_is_fitted, validate_data

from computenet_client import predictions
from computenet_client.data import prepared
from computenet_client.estimators.base import NetworkEstimator, refuse_more
from computenet_client.network import Network
from computenet_client.transport import encoded


class KMeans(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, NetworkEstimator):  # type: ignore[misc]
    """Lloyd's k-means, as scikit-learn's `KMeans` with its greedy k-means++ starts.

    `random_state`: None for a new job at every fit. With an int, fitting the same data with the same parameters for
    the same reward again is the same job: it is paid for once and has the same answer. The seed itself is always the
    network's, so that nobody can choose one that suits them.
    """

    model_type: ClassVar[str] = "kmeans_clustering"
    job_params: ClassVar[Mapping[str, str]] = {
        "k": "n_clusters", "n_init": "n_init", "max_iter": "max_iter", "tol": "tol",
    }  # fmt: skip
    fitted: ClassVar[tuple[str, ...]] = ("cluster_centers_", "labels_", "inertia_", "n_iter_")

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        n_init: int = 10,
        max_iter: int = 300,
        tol: float = 1e-4,
        random_state: int | None = None,
        network: Network | None = None,
        reward: float | None = None,
        verbose: bool = False,
    ) -> None:
        self.n_clusters = n_clusters
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.network = network
        self.reward = reward
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None, **more: Any) -> Self:
        """Cluster X (rows × features) on the network; y is not looked at.

        Raises:
            ValueError: data that cannot be clustered; nothing was spent.
            ComputenetError: the network refused, or the job failed.
        """
        refuse_more(more)
        X = validate_data(self, X, dtype="float64")
        if isinstance(self.n_clusters, int) and len(X) < self.n_clusters:
            raise ValueError(f"n_samples={len(X)} should be >= n_clusters={self.n_clusters}.")
        params = {name: getattr(self, own) for name, own in self.job_params.items()}
        self._take(self._run(X, key=self._key(X, params), **params))
        return self

    def _key(self, X: NDArray[Any], params: Mapping[str, Any]) -> str | None:
        """What makes an equal fit the same job, where `random_state` asks for that."""
        if self.random_state is None:
            return None
        if isinstance(self.random_state, bool) or not hasattr(self.random_state, "__index__"):
            raise ValueError("random_state must be None or an int: the seed itself is the network's.")
        with prepared(X) as file:
            given = [file.sha256, self.random_state.__index__(), self.reward]
        return "fit-" + hashlib.sha256(encoded({"fit": given, "params": dict(params)})).hexdigest()

    def predict(self, X: Any) -> NDArray[Any]:
        """The cluster (rows,) of each row: that of the nearest centre."""
        check_is_fitted(self)
        return predictions.nearest(validate_data(self, X, dtype="float64", reset=False), self.cluster_centers_)

    def transform(self, X: Any) -> NDArray[Any]:
        """Distances (rows × clusters) from the centres."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype="float64", reset=False)
        return np.asarray(euclidean_distances(X, self.cluster_centers_))

    def score(self, X: Any, y: Any = None) -> float:
        """Minus the sum of the squared distances from the nearest centres."""
        return -float((self.transform(X).min(axis=1) ** 2).sum())

    def _take(self, result: Mapping[str, Any]) -> None:
        self.cluster_centers_ = result["centroids"]
        self.labels_ = result["labels"]
        self.inertia_ = float(result["inertia"])
        self.n_iter_ = int(result["iterations"])
        self.n_features_in_ = self.cluster_centers_.shape[1]

    @property
    def _n_features_out(self) -> int:
        return int(self.cluster_centers_.shape[0])
