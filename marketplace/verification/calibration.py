"""How often the catalogue's real checks see through each way of cheating, and what a check costs: for `simulate`."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from marketplace.verification.lazy import ANSWERS, lying
from marketplace.verification.truth import Case, is_right, prepare
from workers.catalog import MODELS
from workers.catalog.base import Answer, Float

LOADERS: dict[str, Callable[..., tuple[Float, Float]]] = {
    "diabetes": load_diabetes,
    "iris": load_iris,
    "wine": load_wine,
    "breast cancer": load_breast_cancer,
    "digits": load_digits,
}
CLASSES = frozenset({"iris", "wine", "breast cancer"})  # those on which a logistic regression is tried
# Rows and features of the seeded data on which time is taken: of jobs that are worth the checking.
SIZES = {"pca_analysis": (20_000, 1_000), "kmeans_clustering": (100_000, 50), "logistic_regression": (50_000, 100)}
SIZE = (200_000, 100)
CLUSTERS = 32
TIMINGS = 2


def calibrate(trials: int, seed: int, progress: Callable[[str], None]) -> dict[str, Any]:
    """The document that `marketplace.domain.simulation.agents.read_rates` reads.

    Args:
        trials: for each model, data set and method.
    """
    models = {}
    for number, name in enumerate(sorted(MODELS)):
        progress(name)
        counts = {method: dict.fromkeys(("right", "fooled", "rejected", "inconclusive"), 0) for method in ANSWERS}
        for where, case in enumerate(cases(name, seed)):
            for method in ANSWERS:
                for trial in range(trials):
                    counts[method][outcome(case, method, [seed, number, where, trial])] += 1
        models[name] = costs(name, seed) | {"odds": counts}
    return {"seed": seed, "trials": trials, "data": sorted(LOADERS), "models": models}


def cases(name: str, seed: int) -> Iterator[Case]:
    """The model on each real data set that suits it."""
    for data, load in LOADERS.items():
        if name == "logistic_regression" and data not in CLASSES:
            continue
        X, y = load(return_X_y=True)
        yield prepare(name, np.ascontiguousarray(X, dtype=np.float64), y.astype(np.float64), seed)


def outcome(case: Case, method: str, seed: list[int]) -> str:
    """ "right", "fooled", "rejected" or "inconclusive": what the real check makes of one answer."""
    rng = np.random.default_rng(seed)
    with np.errstate(all="ignore"):
        answer = ANSWERS[method](case, rng)
        verdict = _check(case, answer, rng).verdict
        if verdict != "accepted":
            return verdict
        return "right" if is_right(case, answer) else "fooled"


def _check(case: Case, answer: Answer, rng: np.random.Generator) -> Any:
    return case.model.check(case.X, case.y, case.params, case.seed, answer, rng=rng)


def costs(name: str, seed: int) -> dict[str, float]:
    """The stated chance of error, and the time of a check over that of the catalogue's fit, on one thread: for an
    answer that is accepted, and for one that is rejected. The data are overlapping Gaussian blobs."""
    rng = np.random.default_rng(seed)
    rows, features = SIZES.get(name, SIZE)
    X = rng.normal(size=(CLUSTERS, features))[rng.integers(CLUSTERS, size=rows)] / 3 + rng.normal(size=(rows, features))
    y = X @ rng.normal(size=features) + 10 * rng.normal(size=rows)
    if name == "logistic_regression":
        y = (y > 0).astype(np.float64)
    with threadpool_limits(1):
        case = prepare(name, X, y, seed, **({"k": CLUSTERS} if name == "kmeans_clustering" else {}))
        found = _check(case, case.honest, rng)
        if found.verdict != "accepted":
            raise RuntimeError(f"An honest answer of {name} was {found.verdict}: {found.reason}")
        wrong = lying(case, rng)
        fit = _seconds(lambda: case.fit(case.X, case.y))
        return {
            "error_chance": found.error_chance,
            "check_share": round(_seconds(lambda: _check(case, case.honest, rng)) / fit, 4),
            "reject_share": round(_seconds(lambda: _check(case, wrong, rng)) / fit, 4),
        }


def _seconds(act: Callable[[], object]) -> float:
    """CPU seconds, the least of a few runs."""
    taken = []
    for _ in range(TIMINGS):
        began = time.process_time()
        act()
        taken.append(time.process_time() - began)
    return min(taken)
