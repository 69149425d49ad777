"""Small models for tests. Only the Celery workers of tests have them in their catalogue, see `toy_catalogue`."""

import os
import signal
import time
from typing import Any, ClassVar

import numpy as np

from workers.catalog.base import Answer, ArraySpec, CatalogModel, Check, DataError, Float, Params, Progress


class Toy(CatalogModel):
    """The sum of each column."""

    name: ClassVar[str] = "toy"
    result_name: ClassVar[str] = "Toy"
    title: ClassVar[str] = "Toy"
    help: ClassVar[str] = "The sum of each column."
    version: ClassVar[int] = 1
    needs_target: ClassVar[bool] = False
    parameters = ()

    def clean(self, given: Params) -> dict[str, Any]:
        return dict(given)

    def validate(self, params: Params, rows: int, features: int) -> None:
        pass

    def operations(self, params: Params, rows: int, features: int) -> float:
        return float(rows * features)

    def answer_shapes(self, params: Params, rows: int, features: int) -> dict[str, ArraySpec]:
        return {"sums": ArraySpec((features,))}

    def fit(
        self, X: Float, y: Float | None, params: Params, seed: int, *, backend: Any, progress: Progress
    ) -> dict[str, Any]:
        progress(0.0, "summing")
        return {"sums": X.sum(axis=0)}

    def check(
        self, X: Float, y: Float | None, params: Params, seed: int, answer: Answer, *, rng: np.random.Generator
    ) -> Check:
        right = np.allclose(answer["sums"], X.sum(axis=0))
        return Check(
            "accepted" if right else "rejected", "recomputation", "The sums agree." if right else "They differ."
        )

    def present(self, X: Float, y: Float | None, params: Params, answer: Answer) -> dict[str, Any]:
        return dict(answer)


class Nap(Toy):
    """Takes `seconds`; reports its progress unless `silent`."""

    name = "nap"

    def fit(self, X: Float, y: Any, params: Params, seed: int, *, backend: Any, progress: Progress) -> dict[str, Any]:
        begun_at = time.monotonic()
        while (passed := time.monotonic() - begun_at) < params["seconds"]:
            if not params.get("silent"):
                progress(passed / params["seconds"], f"napping, {passed:.1f} s")
            time.sleep(0.01)
        return super().fit(X, y, params, seed, backend=backend, progress=progress)


class BadData(Toy):
    name = "bad-data"

    def fit(self, X: Float, y: Any, params: Params, seed: int, *, backend: Any, progress: Progress) -> dict[str, Any]:
        raise DataError("All columns are alike.")


class Greedy(Toy):
    name = "greedy"

    def fit(self, X: Float, y: Any, params: Params, seed: int, *, backend: Any, progress: Progress) -> dict[str, Any]:
        raise MemoryError


class Buggy(Toy):
    name = "buggy"

    def fit(self, X: Float, y: Any, params: Params, seed: int, *, backend: Any, progress: Progress) -> dict[str, Any]:
        raise RuntimeError("/home/someone/secret")


class Wrong(Toy):
    """Wrong as often as `times` says, in this process."""

    name = "wrong"
    fits = 0

    def fit(self, X: Float, y: Any, params: Params, seed: int, *, backend: Any, progress: Progress) -> dict[str, Any]:
        self.fits += 1
        off = 1.0 if self.fits <= params["times"] else 0.0
        return {"sums": X.sum(axis=0) + off}


class Killer(Toy):
    """Ends its process as the kernel does when memory runs out."""

    name = "killer"

    def fit(self, X: Float, y: Any, params: Params, seed: int, *, backend: Any, progress: Progress) -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable")


class Hog(Toy):
    """Takes memory, and says nothing of its progress."""

    name = "hog"

    def fit(self, X: Float, y: Any, params: Params, seed: int, *, backend: Any, progress: Progress) -> dict[str, Any]:
        taken = []
        for _ in range(params["pieces"]):
            taken.append(np.ones(4_000_000))  # 32 MB, and touched
            time.sleep(0.02)
        return {"sums": X.sum(axis=0)}


class Stuck(Toy):
    """Stays in one native call, where no line of Python runs."""

    name = "stuck"

    def fit(self, X: Float, y: Any, params: Params, seed: int, *, backend: Any, progress: Progress) -> dict[str, Any]:
        time.sleep(params["seconds"])
        return super().fit(X, y, params, seed, backend=backend, progress=progress)


TOYS: list[CatalogModel] = [Toy(), Nap(), BadData(), Greedy(), Buggy(), Wrong(), Killer(), Hog(), Stuck()]
