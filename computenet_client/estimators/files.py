"""Estimators from files and from jobs."""

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from computenet_client.data import read_archive
from computenet_client.errors import Refused
from computenet_client.estimators.base import FORMAT, META, NetworkEstimator
from computenet_client.estimators.clusters import KMeans
from computenet_client.estimators.components import PCA
from computenet_client.estimators.logistic import LogisticRegression
from computenet_client.estimators.regression import LinearRegression, Ridge
from computenet_client.network import Network

ESTIMATORS: dict[str, type[NetworkEstimator]] = {
    each.__name__: each for each in (LinearRegression, Ridge, LogisticRegression, KMeans, PCA)
}
BY_MODEL = {each.model_type: each for each in ESTIMATORS.values()}


def load(path: str | PathLike[str], network: Network | None = None) -> NetworkEstimator:
    """The fitted estimator that `save` wrote. The file is data: nothing in it is run.

    Raises:
        Refused: it is no such file.
    """
    with Path(path).open("rb") as file:
        arrays = read_archive(file)
    try:
        meta = json.loads(arrays.pop(META).tobytes())
        if meta["format"] != FORMAT:
            raise Refused(f"{path} was written by a newer version: install it to read the file.")
        estimator = ESTIMATORS[meta["estimator"]](**meta["params"])
        found = {**meta["scalars"], **arrays}
        known = {*estimator.fitted, "n_features_in_", "feature_names_in_", "job_id_"}
        if not {*estimator.fitted, "n_features_in_"} <= set(found) <= known:
            raise KeyError
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, Refused):
            raise
        raise Refused(f"{path} is not a saved estimator.") from None
    for name, value in found.items():
        setattr(estimator, name, value.astype(object) if name == "feature_names_in_" else value)
    estimator.network = network
    return estimator


def restore(network: Network, info: Mapping[str, Any], result: Mapping[str, Any]) -> NetworkEstimator:
    """The fitted estimator of a verified job with this status and result.

    Raises:
        Refused: a model that has no estimator here.
    """
    kind = BY_MODEL.get(info["model_type"])
    if kind is None:
        raise Refused(f"There is no estimator for {info['model_type']}.")
    own = {kind.job_params[name]: value for name, value in info["params"].items() if name in kind.job_params}
    estimator = kind(**own, network=network, reward=info["reward"])
    estimator._take(result)
    estimator.job_id_ = info["job_id"]
    return estimator
