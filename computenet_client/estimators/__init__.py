"""Estimators that follow scikit-learn's conventions and fit on a computenet network. They need scikit-learn.

>>> KMeans(n_clusters=3, network=network, reward=5).fit(X).cluster_centers_

`predict`, `transform` and `score` are computed here, without the network and without a price. Without `network`, that
of the environment or of `computenet login` is taken; without `reward`, the network's suggestion.
"""

try:
    import sklearn  # noqa: F401
except ImportError:
    raise ImportError("The estimators need scikit-learn: pip install 'computenet-client[estimators]'") from None

from computenet_client.estimators.base import NetworkEstimator
from computenet_client.estimators.clusters import KMeans
from computenet_client.estimators.components import PCA
from computenet_client.estimators.files import ESTIMATORS, load, restore
from computenet_client.estimators.logistic import LogisticRegression
from computenet_client.estimators.regression import LinearRegression, Ridge

__all__ = [
    "ESTIMATORS",
    "KMeans",
    "LinearRegression",
    "LogisticRegression",
    "NetworkEstimator",
    "PCA",
    "Ridge",
    "load",
    "restore",
]
