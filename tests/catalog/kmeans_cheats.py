"""Ways to cheat at k-means, and an exhaustive replay that knows what is true of an answer."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from workers.catalog import MODELS, kmeans_start
from workers.catalog.backend import NUMPY
from workers.catalog.base import no_progress

MODEL = MODELS["kmeans_clustering"]
SEED = 3
Answer = dict[str, np.ndarray]


@dataclass
class Prepared:
    X: np.ndarray
    params: dict[str, Any]
    honest: Answer

    def honest_start(self) -> np.ndarray:
        """The centres from which the last run must set out: the end of the best start on the sample."""
        sample = kmeans_start.draw_sample(self.X, self.params["k"], SEED, lambda *part: None)
        changes, (rows, labels) = pilots_of(self.honest)[int(self.honest["best"])]
        ends, final = np.cumsum(changes)[:-1], np.zeros(len(sample.rows), dtype=np.uint16)
        for part, new in zip(np.split(rows, ends), np.split(labels, ends), strict=True):
            final[part] = new
        points = self.X[sample.rows]
        found = np.zeros((self.params["k"], self.X.shape[1]))
        for j in range(self.params["k"]):
            if (final == j).any():
                found[j] = np.average(points[final == j], axis=0, weights=sample.weights[final == j])
        return found


def steps(answer: Answer) -> list[tuple[np.ndarray, np.ndarray]]:
    ends = np.cumsum(answer["changes"])[:-1]
    return list(zip(np.split(answer["rows"], ends), np.split(answer["labels"], ends), strict=True))


def all_labels(answer: Answer, n: int) -> list[np.ndarray]:
    """The labels after every step of the last run."""
    labels, found = np.zeros(n, dtype=np.uint16), []
    for rows, new in steps(answer):
        labels = labels.copy()
        labels[rows] = new
        found.append(labels)
    return found


def from_labels(answer: Answer, labels: list[np.ndarray], centroids: np.ndarray) -> Answer:
    """`answer` with another last run, consistent in form."""
    before = [np.zeros_like(labels[0]), *labels[:-1]]
    rows = [np.flatnonzero(new != old).astype(np.uint32) for old, new in zip(before, labels, strict=True)]
    return answer | {
        "changes": np.array([len(part) for part in rows], dtype=np.int64),
        "rows": np.concatenate(rows),
        "labels": np.concatenate([new[part] for part, new in zip(rows, labels, strict=True)]).astype(np.uint16),
        "centroids": np.ascontiguousarray(centroids, dtype=np.float64),
    }


def nearest(X: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    shift = X.mean(axis=0)
    C = centroids - shift
    return ((X - shift) @ C.T - 0.5 * (C**2).sum(axis=1)).argmax(axis=1).astype(np.uint16)


def means(X: np.ndarray, labels: np.ndarray, like: np.ndarray) -> np.ndarray:
    found = like.copy()
    for j in np.unique(labels):
        found[j] = X[labels == j].mean(axis=0)
    return found


def true_errors(it: Prepared, answer: Answer) -> tuple[float, float]:
    """By an exhaustive replay of the last run: the largest share of wrong labels in a step, and the largest error
    of a centre in units of the data's spread."""
    X, centroids = it.X, answer["centroids"]
    shift = X.mean(axis=0)
    Xc = X - shift
    norms = (Xc**2).sum(axis=1)
    before = it.honest_start()
    share, error = 0.0, 0.0
    for labels, after in zip(all_labels(answer, len(X)), centroids, strict=True):
        C = before - shift
        sizes = (C**2).sum(axis=1)
        squared = norms[:, None] + sizes - 2 * Xc @ C.T
        own = squared[np.arange(len(X)), labels]
        # Allows twice the tie that the certificate allows, which covers where the two shifts differ.
        ties = 2e-5 * (norms + np.maximum(sizes[labels], sizes[squared.argmin(axis=1)])) + 1e-9 * norms.mean()
        share = max(share, float(np.mean(own - squared.min(axis=1) > ties)))
        reach = np.sqrt(norms.mean()) + np.sqrt(((after - shift) ** 2).sum(axis=1))
        off = np.linalg.norm(after - means(X, labels, after), axis=1) / reach
        error, before = max(error, float(off.max())), after
    return share, error


def subsampled(part: float):
    """Lloyd on a part of the rows; the rest are labelled at the end of every step, for show."""

    def cheat(it: Prepared, rng: np.random.Generator) -> Answer:
        X = it.X
        kept = rng.permutation(len(X))[: max(it.params["k"], int(part * len(X)))]
        centroids, labels, path = it.honest_start(), [], []
        for _ in it.honest["changes"]:
            labels.append(nearest(X, centroids))
            centroids = means(X[kept], labels[-1][kept], centroids)
            path.append(centroids)
        return from_labels(it.honest, labels, np.array(path))

    return cheat


def perturbed(size: float, last_only: bool = False):
    def cheat(it: Prepared, rng: np.random.Generator) -> Answer:
        centroids = it.honest["centroids"].copy()
        part = centroids[-1:] if last_only else centroids
        part += size * it.X.std() * rng.normal(size=part.shape)
        return it.honest | {"centroids": centroids}

    return cheat


def wrong_labels(share: float):
    def cheat(it: Prepared, rng: np.random.Generator) -> Answer:
        labels = [part.copy() for part in all_labels(it.honest, len(it.X))]
        for part in labels:
            chosen = rng.random(len(part)) < share
            part[chosen] = rng.integers(it.params["k"], size=int(chosen.sum()))
        path = [means(it.X, part, old) for part, old in zip(labels, it.honest["centroids"], strict=True)]
        return from_labels(it.honest, labels, np.array(path))

    return cheat


def without(it: Prepared, gone: int) -> Answer:
    labels, centroids = all_labels(it.honest, len(it.X)), it.honest["centroids"]
    return from_labels(
        it.honest,
        labels[:gone] + labels[gone + 1 :] or labels,
        np.delete(centroids, gone, 0) if len(labels) > 1 else centroids,
    )


def jumped(it: Prepared, rng: np.random.Generator) -> Answer:
    return without(it, int(rng.integers(max(1, len(it.honest["changes"]) - 1))))


def stale(it: Prepared, rng: np.random.Generator) -> Answer:
    labels = all_labels(it.honest, len(it.X))
    return from_labels(it.honest, [labels[0], *labels[:-1]], it.honest["centroids"])


def early(it: Prepared, rng: np.random.Generator) -> Answer:
    labels, kept = all_labels(it.honest, len(it.X)), max(1, len(it.honest["changes"]) // 2)
    return from_labels(it.honest, labels[:kept], it.honest["centroids"][:kept])


def one_step(it: Prepared, rng: np.random.Generator) -> Answer:
    labels = nearest(it.X, it.X[rng.choice(len(it.X), it.params["k"], replace=False)])
    return from_labels(it.honest, [labels], means(it.X, labels, it.honest["centroids"][-1])[None])


def end_as_start(it: Prepared, rng: np.random.Generator) -> Answer:
    """The right end, sold without the way."""
    labels, centroids = all_labels(it.honest, len(it.X)), it.honest["centroids"]
    return from_labels(it.honest, labels[-1:], centroids[-1:])


def forged_start(it: Prepared, rng: np.random.Generator) -> Answer:
    starts = it.honest["start_rows"].copy()
    starts[rng.integers(len(starts)), 0] = rng.integers(len(it.X))
    return it.honest | {"start_rows": starts}


def other_seed(it: Prepared, rng: np.random.Generator) -> Answer:
    return MODEL.fit(it.X, None, it.params, SEED + 1, backend=NUMPY, progress=no_progress)


def pilots_of(answer: Answer) -> list[tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]]:
    changes = np.split(answer["pilot_changes"], np.cumsum(answer["pilot_steps"])[:-1])
    ends = np.cumsum([part.sum() for part in changes])[:-1]
    rows, labels = np.split(answer["pilot_rows"], ends), np.split(answer["pilot_labels"], ends)
    return list(zip(changes, zip(rows, labels, strict=True), strict=True))


def with_pilots(it: Prepared, pilots: list) -> Answer:
    return it.honest | {
        "pilot_steps": np.array([len(changes) for changes, _ in pilots], dtype=np.int64),
        "pilot_changes": np.concatenate([changes for changes, _ in pilots]),
        "pilot_rows": np.concatenate([rows for _, (rows, _) in pilots]),
        "pilot_labels": np.concatenate([labels for _, (_, labels) in pilots]),
    }


def one_start_for_all(it: Prepared, rng: np.random.Generator) -> Answer:
    pilots = pilots_of(it.honest)
    return with_pilots(it, [pilots[int(it.honest["best"])]] * len(pilots))


def lazy_pilots(it: Prepared, rng: np.random.Generator) -> Answer:
    """The other starts stopped after their first step."""
    pilots = pilots_of(it.honest)
    for run, (changes, (rows, labels)) in enumerate(pilots):
        if run != int(it.honest["best"]):
            pilots[run] = changes[:1], (rows[: changes[0]], labels[: changes[0]])
    return with_pilots(it, pilots)


def worse_start(it: Prepared, rng: np.random.Generator) -> Answer:
    return it.honest | {"best": np.asarray((int(it.honest["best"]) + 1) % len(it.honest["start_rows"]))}


def merged(it: Prepared, rng: np.random.Generator) -> Answer:
    labels = [np.where(part == 1, 0, part).astype(np.uint16) for part in all_labels(it.honest, len(it.X))]
    path = [means(it.X, part, old) for part, old in zip(labels, it.honest["centroids"], strict=True)]
    return from_labels(it.honest, labels, np.array(path))


def shuffled(it: Prepared, rng: np.random.Generator) -> Answer:
    order = rng.permutation(len(it.X))
    return from_labels(it.honest, [part[order] for part in all_labels(it.honest, len(it.X))], it.honest["centroids"])


def disorder(name: str, change):
    """A list of changes that does not hold together."""

    def cheat(it: Prepared, rng: np.random.Generator) -> Answer:
        array = it.honest[name].copy()
        change(array)
        return it.honest | {name: array}

    return cheat


def _put(value: int):
    def change(array: np.ndarray) -> None:
        array[-1 if len(array) else slice(None)] = value

    return change


def huge(it: Prepared, rng: np.random.Generator) -> Answer:
    return it.honest | {"centroids": np.full_like(it.honest["centroids"], 1e300)}


CHEATS = {
    **{f"means of {part:.0%} of the rows": subsampled(part) for part in (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)},
    "centres off by 1 %": perturbed(0.01),
    "centres off by 0.1 %": perturbed(0.001),
    "last centres off by 1 %": perturbed(0.01, last_only=True),
    "a tenth of the labels at random": wrong_labels(0.1),
    "2 % of the labels at random": wrong_labels(0.02),
    "0.5 % of the labels at random": wrong_labels(0.005),
    "jumped step": jumped,
    "first step jumped": lambda it, rng: without(it, 0),
    "stale labels": stale,
    "stopped early": early,
    "one step": one_step,
    "end without the way": end_as_start,
    "forged start": forged_start,
    "another seed": other_seed,
    "one start sold as ten": one_start_for_all,
    "other starts not run": lazy_pilots,
    "another start named": worse_start,
    "clusters merged": merged,
    "labels shuffled": shuffled,
    "row that does not exist": disorder("rows", _put(2**32 - 1)),
    "cluster that does not exist": disorder("labels", _put(65535)),
    "negative count": disorder("changes", _put(-5)),
    "pilot steps wrong": disorder("pilot_steps", _put(2)),
    "no pilot steps": disorder("pilot_steps", _put(0)),
    "pilot row that does not exist": disorder("pilot_rows", _put(2**32 - 1)),
    "zeros": lambda it, rng: it.honest | {"centroids": np.zeros_like(it.honest["centroids"])},
    "huge": huge,
}
