"""A fit is held to its time and memory, and nothing but the catalogue ever runs."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.workers.coordinator import Coordinator
from tests.workers.processes import CeleryWorker, wait_until
from tests.workers.redis_server import RedisServer
from workers import limits
from workers.catalog import MODELS
from workers.catalog.backend import NUMPY
from workers.catalog.base import no_progress
from workers.compute import Failed, check_specification, compute, fits_in_memory
from workers.limits import Limits, OutOfMemory
from workers.running import OutOfTime

X = np.arange(12.0).reshape(4, 3)


def never() -> None:
    raise AssertionError("it was given up")


def busy(seconds: float) -> None:
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        pass


def test_a_fit_that_reports_no_progress_is_stopped_in_time() -> None:
    began_at = time.monotonic()
    with pytest.raises(OutOfTime), Limits(0.2, 2**30, never):
        busy(30)
    assert time.monotonic() - began_at < 2


def test_a_fit_that_swallows_the_first_stop_is_stopped_again() -> None:
    with pytest.raises(OutOfTime), Limits(0.1, 2**30, never):
        try:
            busy(30)
        except OutOfTime:
            busy(30)


def test_a_fit_that_takes_more_memory_than_it_may_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SLACK_BYTES", 16 * 2**20)
    taken = []
    with pytest.raises(OutOfMemory), Limits(30, 16 * 2**20, never):
        for _ in range(100):
            taken.append(np.ones(2**20))  # 8 MiB, and touched
            busy(0.02)
    assert len(taken) < 30


def test_one_thread_watches_all_fits_and_ends_after_them() -> None:
    def watchers() -> int:
        return sum(thread.name == "limits" for thread in threading.enumerate())

    def fit(seconds: float) -> str:
        try:
            with Limits(seconds, 2**30, never):
                busy(0.6)
        except OutOfTime:
            return "stopped"
        return "ended"

    wait_until(lambda: watchers() == 0)
    with ThreadPoolExecutor(4) as pool:
        fits = [pool.submit(fit, seconds) for seconds in (0.1, 30.0, 0.2, 30.0)]
        wait_until(lambda: watchers() == 1)
        assert [each.result() for each in fits] == ["stopped", "ended"] * 2
        assert watchers() <= 1
    wait_until(lambda: watchers() == 0)


def test_a_fit_that_cannot_be_looked_after_keeps_no_other_from_being_stopped() -> None:
    def broken() -> bool:
        raise OSError

    left, over = threading.Event(), threading.Event()

    def other() -> None:
        with Limits(30, 2**30, never, broken):
            left.set()
            over.wait(10)

    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(other)
        left.wait(10)
        with pytest.raises(OutOfTime), Limits(0.1, 2**30, never):
            busy(10)
        over.set()
        ended.result()


def test_what_a_fit_held_that_ended_during_a_look_is_not_held_against_another(monkeypatch: pytest.MonkeyPatch) -> None:
    held = [0]
    monkeypatch.setattr(limits, "own_memory_bytes", lambda: held[0])
    begun, leave, left = threading.Event(), threading.Event(), threading.Event()

    def large() -> None:
        with Limits(30, 8 * 2**30, never):
            begun.set()
            leave.wait(10)
        left.set()

    def wanted() -> bool:  # asked in a look, after the memory was
        if held[0]:
            leave.set()
            left.wait(10)
            held[0] = 0
        return True

    with ThreadPoolExecutor(1) as pool:
        pool.submit(large)
        assert begun.wait(10)
        with Limits(30, 2**20, never, wanted):
            held[0] = 4 * 2**30  # which both may have together
            busy(0.5)
    assert left.is_set()


def test_time_is_kept_where_memory_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def unreadable() -> int:
        asked.append(1)
        if len(asked) > 1:
            raise MemoryError
        return 0

    monkeypatch.setattr(limits, "own_memory_bytes", unreadable)
    with pytest.raises(OutOfTime), Limits(0.3, 2**30, never):
        busy(5)


def test_what_ends_in_time_is_left_alone_afterwards() -> None:
    for _ in range(20):
        try:
            with Limits(0.1, 2**30, never):
                busy(0.0999)
        except OutOfTime:
            pass
    busy(0.5)  # nothing arrives late


def test_what_is_stuck_in_a_native_call_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GRACE_SECONDS", 0.2)
    given_up: list[float] = []
    with pytest.raises(OutOfTime), Limits(0.1, 2**30, lambda: given_up.append(time.monotonic())):
        time.sleep(2.0)
        busy(10)
    assert len(given_up) == 1


def test_what_does_not_fit_the_free_memory_is_refused() -> None:
    assert fits_in_memory(10**6)
    assert not fits_in_memory(2**50)


@pytest.mark.processes
def test_a_stuck_child_is_killed_its_assignment_reported_and_the_worker_goes_on(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    coordinator = Coordinator(redis_server)
    worker = CeleryWorker(tmp_path / "home", coordinator, "-P", "prefork", "-c", "1")
    try:
        worker.ready()
        changes: dict[str, Any] = {"limits": {"seconds": 0.3, "memory_bytes": 2**30}}
        stuck = coordinator.give("stuck", X, params={"seconds": 300}, **changes)
        coordinator.send(stuck)
        wait_until(lambda: stuck.state == "failed", 25.0, worker.log)
        assert stuck.failure["fault"] == "worker" and "time limit" in stuck.failure["error"]
        after = coordinator.give("toy", X)
        coordinator.send(after)
        wait_until(lambda: after.state == "answered", 25.0, worker.log)
    finally:
        worker.end()
        coordinator.stop()


def specification(model: object, **params: object) -> Any:
    return {
        "assignment": "a", "fence": 1, "model": model, "params": params, "seed": 0,
        "matrix": {"sha256": "0" * 64, "size_bytes": 224, "rows": 4, "columns": 3},
        "features": [0, 1], "target": 2, "limits": {"seconds": 60.0, "memory_bytes": 2**30}, "heartbeat_seconds": 2.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    "name", ["", "os.system", "../toys", "linear_regression ", "__init__", "MODEL", "numpy.linalg.lstsq", "toy", "0"]
)
def test_a_model_that_is_not_of_the_catalogue_is_refused(name: str) -> None:
    with pytest.raises(Failed, match="no model") as failure:
        check_specification(specification(name))
    assert failure.value.fault == "system"


ODD: list[dict[str, object]] = [
    {"__class__": "os.system"},
    {"fit": "import os"},
    {"code": "__import__('os').system('true')"},
    {"n_components": "1; import os"},
    {"k": ["__reduce__"]},
    {"alpha": {"$eval": "1"}},
    {"max_iter": float("inf")},
    {"max_iter": 10**30},
    {"k": True},
    {"tol": float("nan")},
]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: next(iter(odd)))
@pytest.mark.parametrize("name", sorted(MODELS))
def test_odd_parameters_are_refused_and_never_run(name: str, odd: dict[str, object]) -> None:
    spec = specification(name, **odd)
    with pytest.raises(Failed) as failure:
        compute(spec, check_specification(spec), X, [NUMPY], no_progress)
    assert failure.value.fault == "job"
