"""What checking costs beside computing: the time of `check` over that of scikit-learn's own fit, in one run.

    python -m benchmarks.verification [--repeat 5] [--quick]

Times are the CPU's, of one thread (the Makefile sets the BLAS to one), so that what else runs on the machine counts
as little as can be; fit and check take turns, and the least of each counts. Beside it stand the least check over the
dearest fit, and the dearest check over the least fit.
`check` is what decides; `present` makes the result that the client reads (predictions, labels, components), once.
Our k-means answer and its check always cover all ten starts; they are set beside one and ten starts of scikit-learn's.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, LogisticRegression

from workers.catalog import MODELS
from workers.catalog.backend import NUMPY
from workers.catalog.base import no_progress

SEED = 1


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds, and the value."""
    started = time.process_time()
    value = work()
    return time.process_time() - started, value


def row(label: str, name: str, X: Any, y: Any, given: dict[str, Any], oracle: Any, goal: float, repeat: int) -> None:
    """Print one line: `goal` is the share of `oracle`'s time that the check should not exceed."""
    model = MODELS[name]
    params = model.clean(given)
    rng = np.random.default_rng(SEED)
    ours, answer = seconds(lambda: model.fit(X, y, params, SEED, backend=NUMPY, progress=no_progress))
    fits, checks = [], []
    for turn in range(repeat):
        if turn == 0 or name != "kmeans_clustering":
            fits.append(seconds(lambda: oracle.fit(X, y))[0])
        spent, found = seconds(lambda: model.check(X, y, params, SEED, answer, rng=rng))
        checks.append(spent)
    theirs, check = min(fits), min(checks)
    present, _ = seconds(lambda: model.present(X, y, params, answer))
    megabytes = sum(array.nbytes for array in answer.values()) / 1e6
    print(
        f"{label:46} sklearn {theirs:7.2f} s  our fit {ours:6.2f} s  check {check:6.3f} s = {check / theirs:6.2%} "
        f"(goal {goal:.0%}; {check / max(fits):.2%} to {max(checks) / theirs:.2%})  "
        f"present {present:6.3f} s = {present / theirs:6.2%}  "
        f"answer {megabytes:.1f} MB of {X.nbytes / 1e6:.0f} MB  {found.verdict}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    arguments = parser.parse_args()
    part = 10 if arguments.quick else 1
    rng = np.random.default_rng(0)

    n = 200_000 // part
    X = rng.normal(size=(n, 100)) @ rng.normal(size=(100, 100)) + 10.0
    y = X @ rng.normal(size=100) + rng.normal(size=n)
    row(f"regression {n} x 100", "linear_regression", X, y, {}, LinearRegression(), 0.04, arguments.repeat)
    labels = (y > np.median(y)).astype(float)
    row(f"logistic {n} x 100", "logistic_regression", X, labels, {}, LogisticRegression(), 0.05, arguments.repeat)

    X = rng.normal(size=(50_000 // part, 1000)) * np.linspace(3, 1, 1000)
    oracle = PCA(10, svd_solver="covariance_eigh")
    row(f"PCA {len(X)} x 1000", "pca_analysis", X, None, {"n_components": 10}, oracle, 0.08, arguments.repeat)

    X = rng.normal(size=(40, 100))[rng.integers(40, size=n)] * 0.3 + rng.normal(size=(n, 100))
    for starts in (1, 10):
        oracle = KMeans(32, n_init=starts, random_state=0)
        label = f"k-means {n} x 100, k = 32, {starts} start{'s' * (starts > 1)} of theirs"
        row(label, "kmeans_clustering", X, None, {"k": 32}, oracle, 0.02, arguments.repeat)


if __name__ == "__main__":
    main()
