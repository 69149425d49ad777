"""The catalogue's fits beside scikit-learn's fastest solver that is as exact, on the CPU.

    python -m benchmarks.catalogue [--part 10] [--repeat 3] [--json]

Regression, PCA and k-means at 1,000,000 × 100 and 200,000 × 500 rows and columns, or a `part` of the rows. Times are
the CPU's of one thread (the Makefile sets the BLAS to one), the least of several turns. k-means runs ten starts on both
sides.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression

from benchmarks import command_line
from workers.catalog import MODELS
from workers.catalog.backend import NUMPY
from workers.catalog.base import no_progress

SHAPES = ((1_000_000, 100), (200_000, 500))
CLUSTERS, COMPONENTS, STARTS, SEED = 8, 10, 10, 1


def least(work: Callable[[], Any], repeat: int) -> float:
    """CPU seconds of the fastest turn."""
    taken = []
    for _ in range(repeat):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return min(taken)


def compare(name: str, given: dict[str, Any], oracle: Any, X: Any, y: Any, repeat: int) -> dict[str, Any]:
    model = MODELS[name]
    params = model.clean(given)
    ours = least(lambda: model.fit(X, y, params, SEED, backend=NUMPY, progress=no_progress), repeat)
    theirs = least(lambda: oracle.fit(X) if y is None else oracle.fit(X, y), repeat)
    rows, columns = X.shape
    return {
        "model": name,
        "rows": rows,
        "columns": columns,
        "seconds": ours,
        "sklearn_seconds": theirs,
        "times_faster": theirs / ours,
        "gigabytes_a_second": X.nbytes / 1e9 / ours,  # of the data, as if they were read once
    }


def measure(part: int, repeat: int) -> list[dict[str, Any]]:
    rng, found = np.random.default_rng(0), []
    for rows, columns in SHAPES:
        n = rows // part
        X = rng.normal(size=(n, columns)) + 3.0
        y = X @ rng.normal(size=columns) + rng.normal(size=n)
        found.append(compare("linear_regression", {}, LinearRegression(), X, y, repeat))
        pca = PCA(COMPONENTS, svd_solver="covariance_eigh")
        found.append(compare("pca_analysis", {"n_components": COMPONENTS}, pca, X, None, repeat))
        X += rng.normal(size=(CLUSTERS, columns))[rng.integers(CLUSTERS, size=n)] * 2
        kmeans = KMeans(CLUSTERS, n_init=STARTS, random_state=0)
        found.append(compare("kmeans_clustering", {"k": CLUSTERS, "n_init": STARTS}, kmeans, X, None, 1))
    return found


def show(found: list[dict[str, Any]]) -> None:
    for each in found:
        print(f"{each['model']:18} {each['rows']:>9,} × {each['columns']}: {each['seconds']:7.2f} s, ", end="")
        print(f"scikit-learn {each['sklearn_seconds']:7.2f} s: {each['times_faster']:5.2f} times as fast (goal 1.0)")


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--part", type=int, default=10, help="1 for all rows, which takes 2 GiB and some minutes")
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    command_line.report(measure(arguments.part, arguments.repeat), show, as_json=arguments.json)


if __name__ == "__main__":
    main()
