"""What one running Celery worker does with all that a coordinator may ask and answer."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.workers.coordinator import Coordinator, Given
from tests.workers.processes import CeleryWorker, wait_until
from tests.workers.redis_server import RedisServer
from workers.datasets import FETCH_BYTES

pytestmark = pytest.mark.processes
X = np.arange(12.0).reshape(4, 3)


@pytest.fixture(scope="module")
def shared(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CeleryWorker]:
    """One worker with two slots for all tests of this file; each test gives it assignments of its own."""
    coordinator = Coordinator(redis_server)
    worker = CeleryWorker(tmp_path_factory.mktemp("shared") / "home", coordinator, "-c", "2")
    try:
        yield worker.ready()
    finally:
        worker.end()
        coordinator.stop()


@pytest.fixture
def worker(shared: CeleryWorker) -> Iterator[CeleryWorker]:
    yield shared
    shared.coordinator.trouble = lambda method, path: None
    shared.coordinator.drain = False


def spooled(worker: CeleryWorker, given: Given) -> list[Path]:
    return list((worker.home / "spool").glob(f"{given.spec['assignment']}*"))


def ended(worker: CeleryWorker, given: Given, seconds: float = 10.0) -> Given:
    wait_until(lambda: given.state in ("answered", "failed"), seconds, worker.log)
    return given


def works(worker: CeleryWorker) -> bool:
    """Does it still compute?"""
    given = worker.coordinator.give("toy", X)
    worker.coordinator.send(given)
    return ended(worker, given).state == "answered"


def test_a_job_on_some_columns_is_computed_and_answered(worker: CeleryWorker) -> None:
    given = worker.coordinator.give("toy", X, features=[2, 0])
    worker.coordinator.send(given)

    ended(worker, given)

    np.testing.assert_array_equal(given.answer["sums"], X[:, [2, 0]].sum(axis=0))
    assert 0.0 < given.seconds < 1.0
    wait_until(lambda: not spooled(worker, given))


def test_a_job_has_two_lines_in_the_log(worker: CeleryWorker) -> None:
    given = worker.coordinator.give("toy", X)
    worker.coordinator.send(given)
    ended(worker, given)

    assert works(worker)
    lines = [line for line in worker.log().splitlines() if given.spec["assignment"] in line]
    assert len(lines) == 2 and " (toy) took " in lines[0] and lines[1].endswith(" is delivered.")


def test_the_matrix_is_fetched_once(worker: CeleryWorker) -> None:
    data = np.random.default_rng(5).normal(size=(7, 2))
    first, second = worker.coordinator.give("toy", data), worker.coordinator.give("toy", data)

    for given in (first, second):
        worker.coordinator.send(given)
        ended(worker, given)

    path = f"/dataset/{first.spec['matrix']['sha256']}"
    assert [call for call in worker.coordinator.calls if call[1] == path] == [("GET", path, "")]


def test_a_tiny_job_takes_well_under_60_ms_from_message_to_answer(worker: CeleryWorker) -> None:
    took = []
    for _ in range(9):
        given = worker.coordinator.give("toy", X)
        worker.coordinator.send(given)
        ended(worker, given)
        took.append(given.answered_at - given.sent_at)

    assert min(took) < 0.06  # the quickest: what else this machine does at the time is not the worker's


def test_progress_reaches_the_coordinator_and_never_falls(worker: CeleryWorker) -> None:
    given = worker.coordinator.give("nap", X, params={"seconds": 1.0})
    worker.coordinator.send(given)

    ended(worker, given)

    computing = [beat["progress"] for beat in given.beats if beat["note"].startswith("napping")]
    assert len(computing) >= 3
    assert computing == sorted(computing)
    assert all(beat["fence"] == given.spec["fence"] for beat in given.beats)


def test_a_lease_is_renewed_while_a_fit_reports_nothing(worker: CeleryWorker) -> None:
    given = worker.coordinator.give("nap", X, params={"seconds": 1.0, "silent": True})
    worker.coordinator.send(given)

    ended(worker, given)

    assert len(given.beats) >= 4


def test_an_assignment_cancelled_by_a_heartbeats_reply_stops_in_the_middle(worker: CeleryWorker) -> None:
    given = worker.coordinator.give("nap", X, params={"seconds": 30.0})
    worker.coordinator.send(given)
    wait_until(lambda: given.beats, about=worker.log)

    given.state = "dead"

    wait_until(lambda: f"{given.spec['assignment']} was cancelled" in worker.log(), 3.0, worker.log)
    assert given.puts == 0 and not given.failure and not spooled(worker, given)
    assert works(worker)


def test_a_cancelled_fit_that_reports_nothing_sends_no_answer(worker: CeleryWorker) -> None:
    given = worker.coordinator.give("nap", X, params={"seconds": 0.8, "silent": True})
    worker.coordinator.send(given)
    wait_until(lambda: given.beats, about=worker.log)

    given.state = "dead"

    wait_until(lambda: f"{given.spec['assignment']} was cancelled" in worker.log(), 3.0, worker.log)
    assert given.puts == 0 and not given.failure


def test_an_answer_with_a_dead_fence_is_dropped(worker: CeleryWorker) -> None:
    given = worker.coordinator.give("nap", X, params={"seconds": 0.5})
    worker.coordinator.send(given)
    wait_until(lambda: given.state == "computing", about=worker.log)

    given.spec["fence"] = 8

    wait_until(lambda: given.puts == 1 and not spooled(worker, given), about=worker.log)
    assert given.state == "computing" and not given.answer
    time.sleep(0.5)
    assert given.puts == 1


def test_a_second_message_for_the_same_assignment_is_a_no_op(worker: CeleryWorker) -> None:
    given = worker.coordinator.give("nap", X, params={"seconds": 0.5})
    worker.coordinator.send(given, given)
    ended(worker, given)
    worker.coordinator.send(given)

    assert works(worker)
    wait_until(lambda: worker.log().count(f"Assignment {given.spec['assignment']} is ") == 2, about=worker.log)
    assert given.puts == 1 and given.state == "answered"
    assert worker.log().count(f"Assignment {given.spec['assignment']} (nap) took") == 1


def test_a_message_for_an_unknown_assignment_is_dropped(worker: CeleryWorker) -> None:
    given = worker.coordinator.give("toy", X)
    del worker.coordinator.given[given.spec["assignment"]]
    worker.coordinator.send(given)

    wait_until(lambda: f"{given.spec['assignment']} is not started" in worker.log(), about=worker.log)
    assert works(worker)


def test_a_start_that_meets_an_error_is_asked_again(worker: CeleryWorker) -> None:
    given = worker.coordinator.give("toy", X)
    failures = iter([500, 503])
    worker.coordinator.trouble = lambda method, path: next(failures, None) if path.endswith("/start") else None
    worker.coordinator.send(given)

    assert ended(worker, given).state == "answered"
    assert given.starts == 1


def test_a_matrix_with_a_wrong_hash_is_refused(worker: CeleryWorker) -> None:
    given = worker.coordinator.give("toy", X + 1)
    digest = given.spec["matrix"]["sha256"]
    content = worker.coordinator.matrices[digest]
    worker.coordinator.matrices[digest] = content[:-1] + bytes([content[-1] ^ 1])
    worker.coordinator.send(given)

    ended(worker, given)

    assert given.failure["fault"] == "system" and "hash" in given.failure["error"]
    assert not list((worker.home / "cache").glob(f"{digest}.[np]*"))


def test_a_download_that_breaks_off_goes_on_where_it_ended(worker: CeleryWorker) -> None:
    given = worker.coordinator.give("toy", np.random.default_rng(1).normal(size=(20_000, 3)))
    worker.coordinator.cut_dataset_after = 400_000
    worker.coordinator.send(given)

    assert ended(worker, given).state == "answered"
    path = f"/dataset/{given.spec['matrix']['sha256']}"
    assert [call[2] for call in worker.coordinator.calls if call[1] == path] == ["", f"bytes={FETCH_BYTES}-"]


@pytest.mark.parametrize(
    ("model", "changes", "fault", "says"),
    [
        ("bad-data", {}, "job", "All columns are alike."),
        ("greedy", {}, "worker", "out of memory"),
        ("buggy", {}, "system", "RuntimeError"),
        ("wrong", {"params": {"times": 99}}, "system", "own check"),
        ("unheard-of", {}, "system", "no model"),
        ("toy", {"features": [0, 3]}, "system", "columns"),
        ("toy", {"limits": {"seconds": 60.0, "memory_bytes": 50}}, "system", "96 bytes"),
        ("nap", {"params": {"seconds": 9}, "limits": {"seconds": 0.3, "memory_bytes": 9999}}, "worker", "time limit"),
        (
            "nap",
            {"params": {"seconds": 9, "silent": True}, "limits": {"seconds": 0.3, "memory_bytes": 9999}},
            "worker",
            "time limit",
        ),
        ("hog", {"params": {"pieces": 40}, "limits": {"seconds": 60.0, "memory_bytes": 9999}}, "worker", "more memory"),
    ],
)
def test_a_failure_says_whose_fault_it_looks_like(
    worker: CeleryWorker, model: str, changes: dict[str, object], fault: str, says: str
) -> None:
    given = worker.coordinator.give(model, X, **changes)
    worker.coordinator.send(given)

    ended(worker, given)

    assert given.failure["fault"] == fault and says in given.failure["error"]
    assert "/home" not in given.failure["error"]
    assert not given.answer


def test_a_drained_worker_takes_nothing_new(worker: CeleryWorker) -> None:
    worker.coordinator.drain = True
    wait_until(lambda: (worker.home / "running" / "drain").exists(), about=worker.log)
    given = worker.coordinator.give("toy", X)
    worker.coordinator.send(given)
    wait_until(lambda: f"{given.spec['assignment']} is not taken" in worker.log(), about=worker.log)
    assert given.starts == 0

    worker.coordinator.drain = False
    wait_until(lambda: not (worker.home / "running" / "drain").exists(), about=worker.log)
    assert works(worker)


def test_two_slots_compute_at_the_same_time(worker: CeleryWorker) -> None:
    pair = [worker.coordinator.give("nap", X, params={"seconds": 0.6}) for _ in range(2)]
    worker.coordinator.send(*pair)

    for given in pair:
        ended(worker, given)

    begun = [given.beats[0] for given in pair]
    together = [
        request
        for _, request in worker.coordinator.heartbeats
        if {given.spec["assignment"] for given in pair} <= {beat["assignment"] for beat in request["assignments"]}
    ]
    assert begun and together


def test_heartbeats_and_work_go_on_after_redis_was_away(worker: CeleryWorker) -> None:
    redis_server = worker.coordinator.redis
    assert redis_server is not None
    before = len(worker.coordinator.heartbeats)

    redis_server.stop()
    wait_until(lambda: len(worker.coordinator.heartbeats) >= before + 5, 3.0, worker.log)
    redis_server.start()

    assert works(worker)
    times = [at for at, _ in worker.coordinator.heartbeats[before:]]
    assert max(np.diff(times)) < 1.0
