"""scikit-learn's own checks of estimators, every fit a job of a running sandbox. None is an expected failure.

`COMPUTENET_ALL_CHECKS=1` (`make test-estimators`) runs all of them, which takes a minute; without it, those that take
few jobs and those that say most run.
"""

import os
from collections.abc import Callable
from typing import Any

import pytest
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import parametrize_with_checks

from computenet_client import Network
from computenet_client.estimators import PCA, KMeans, LinearRegression, LogisticRegression, Ridge

pytestmark = pytest.mark.processes

# As small as scikit-learn makes its own for these checks.
ESTIMATORS = [
    LinearRegression(reward=1),
    Ridge(reward=1),
    LogisticRegression(reward=1),
    KMeans(n_clusters=2, n_init=2, max_iter=5, reward=1),
    PCA(n_components=2, reward=1),
]
ALL = os.environ.get("COMPUTENET_ALL_CHECKS") == "1"
CHOSEN = {
    "check_classifiers_one_label",
    "check_clustering",
    "check_complex_data",
    "check_dict_unchanged",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_dont_overwrite_parameters",
    "check_estimator_cloneable",
    "check_estimator_sparse_array",
    "check_estimator_tags_renamed",
    "check_estimators_empty_data_messages",
    "check_estimators_nan_inf",
    "check_estimators_pickle",
    "check_estimators_unfitted",
    "check_fit1d",
    "check_fit2d_1sample",
    "check_fit_check_is_fitted",
    "check_methods_subset_invariance",
    "check_mixin_order",
    "check_n_features_in_after_fitting",
    "check_parameters_default_constructible",
    "check_requires_y_none",
    "check_supervised_y_2d",
    "check_transformer_general",
}


def name_of(check: Any) -> str:
    return str(getattr(check, "func", check).__name__)


checks = parametrize_with_checks(ESTIMATORS)
if not ALL:
    pairs = checks.mark.args[1]
    pairs[:] = [pair for pair in pairs if name_of(pair[1]) in CHOSEN]


@checks
def test_estimator_follows_scikit_learns_conventions(
    estimator: BaseEstimator, check: Callable[[BaseEstimator], None], default_network: Network
) -> None:
    check(estimator)
