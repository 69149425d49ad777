"""How Celery worker processes begin, end, break and come back."""

import json
import signal
import stat
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.workers.conftest import StartWorker
from tests.workers.coordinator import Coordinator
from tests.workers.processes import wait_until

pytestmark = pytest.mark.processes
X = np.arange(12.0).reshape(4, 3)


def test_after_enrolling_once_a_worker_restarts_without_a_key(
    coordinator: Coordinator, start_worker: StartWorker
) -> None:
    worker = start_worker("-c", "3").ready()
    enrolment = coordinator.enrolments[0]
    assert enrolment["slots"] == 3 and enrolment["device"]["gpu_type"] == "CPU"
    assert "this host: no GPU: this is a CPU host" in worker.log()
    kept = worker.home / "credentials.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0

    again = start_worker(COMPUTENET_KEY="").ready()
    given = coordinator.give("toy", X)
    coordinator.send(given)

    wait_until(lambda: given.state == "answered", about=again.log)
    assert len(coordinator.workers) == 1
    assert coordinator.enrolments[-1]["slots"] == 1 and coordinator.enrolments[-1]["enrolment_key"] == ""


def test_sixteen_jobs_in_eight_slots_take_far_fewer_than_two_requests_each(
    coordinator: Coordinator, start_worker: StartWorker
) -> None:
    coordinator.together = 64
    worker = start_worker("-c", "8").ready()
    given = [coordinator.give("toy", X) for _ in range(16)]
    coordinator.calls.clear()
    busy = threading.Event()  # never set: it takes 50 ms to answer, as under load
    coordinator.trouble = lambda method, path: busy.wait(0.05) or None

    coordinator.send(*given)

    wait_until(lambda: all(each.state == "answered" for each in given), about=worker.log)
    counted = [path for method, path, _ in coordinator.calls if "assignment" in path]
    assert len(counted) <= 20, counted


def test_a_restart_goes_on_with_what_was_kept_while_the_coordinator_is_down(
    coordinator: Coordinator, start_worker: StartWorker
) -> None:
    worker = start_worker().ready()
    worker.end()
    coordinator.stop()

    again = start_worker(COMPUTENET_KEY="", COMPUTENET_URL="")
    wait_until(lambda: " ready." in again.log(), about=again.log)
    coordinator.start()
    again.ready()
    given = coordinator.give("toy", X)
    coordinator.send(given)

    wait_until(lambda: given.state == "answered", about=again.log)


def test_a_worker_waits_for_its_coordinator(coordinator: Coordinator, start_worker: StartWorker) -> None:
    coordinator.stop()
    worker = start_worker()
    wait_until(lambda: "does not answer (Connection refused)" in worker.log(), about=worker.log)

    coordinator.start()

    worker.ready()


def test_server_and_key_file_can_be_given_as_options(
    coordinator: Coordinator, start_worker: StartWorker, tmp_path: Path
) -> None:
    key_file = tmp_path / "key"
    key_file.write_text("key-1\n")

    start_worker("--server", coordinator.url, "--key-file", str(key_file), COMPUTENET_URL="", COMPUTENET_KEY="").ready()

    assert coordinator.enrolments[0]["enrolment_key"] == "key-1"


def test_the_real_catalogue_is_reported_and_computed(coordinator: Coordinator, start_worker: StartWorker) -> None:
    worker = start_worker().ready()
    assert {"linear_regression", "kmeans_clustering", "pca_analysis"} <= coordinator.enrolments[0]["catalog"].keys()
    rng = np.random.default_rng(7)
    data = rng.normal(size=(200, 5))
    data[:, 4] = data[:, :4] @ [1.0, -2.0, 3.0, 0.5] + 4.0
    given = coordinator.give("linear_regression", data, features=[0, 1, 2, 3], target=4)
    coordinator.send(given)

    wait_until(lambda: given.state in ("answered", "failed"), about=worker.log)

    assert given.state == "answered", given.failure
    np.testing.assert_allclose(given.answer["coefficients"], [1.0, -2.0, 3.0, 0.5], rtol=1e-9)


def test_a_process_that_cannot_become_a_worker_says_why_in_one_sentence(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    start_worker().ready()
    elsewhere = {"COMPUTENET_WORKER_HOME": str(tmp_path / "elsewhere")}
    processes = {
        "Another Celery worker uses": start_worker(),
        "unknown or was used": start_worker(COMPUTENET_KEY="another", **elsewhere),
        "not a web address": start_worker(COMPUTENET_URL="coordinator", **elsewhere),
    }
    for says, worker in processes.items():
        assert worker.wait() == 1
        assert says in worker.log() and "Traceback" not in worker.log()


def test_an_answer_waits_for_a_coordinator_that_is_down_and_is_delivered_once(
    coordinator: Coordinator, start_worker: StartWorker
) -> None:
    worker = start_worker().ready()
    given = coordinator.give("nap", X, params={"seconds": 0.4})
    coordinator.send(given)
    wait_until(lambda: given.state == "computing", about=worker.log)

    coordinator.stop()
    note = worker.home / "spool" / f"{given.spec['assignment']}.json"
    wait_until(note.exists, about=worker.log)
    coordinator.start()

    wait_until(lambda: given.state == "answered", about=worker.log)
    wait_until(lambda: not note.exists(), about=worker.log)
    assert given.puts == 1 and given.starts == 1


def test_after_a_kill_the_spool_is_flushed_at_the_next_start(
    coordinator: Coordinator, start_worker: StartWorker
) -> None:
    worker = start_worker().ready()
    coordinator.trouble = lambda method, path: 500 if method == "PUT" else None
    given = coordinator.give("toy", X)
    coordinator.send(given)
    note = worker.home / "spool" / f"{given.spec['assignment']}.json"
    wait_until(note.exists, about=worker.log)
    assert set(json.loads(note.read_bytes().splitlines()[0])) == {"fence", "digest", "seconds", "size_bytes"}
    wait_until(lambda: given.beats, about=worker.log)  # an answer that waits still has its lease renewed

    worker.signal(signal.SIGKILL)
    worker.wait()
    coordinator.trouble = lambda method, path: None
    start_worker(COMPUTENET_KEY="")

    wait_until(lambda: given.state == "answered", about=worker.log)
    np.testing.assert_array_equal(given.answer["sums"], X.sum(axis=0))
    assert given.starts == 1


POOLS = [[], ["-P", "solo"], ["--pool=prefork"], ["-P", "prefork", "--pool-start-method", "spawn"]]


@pytest.mark.parametrize("options", POOLS, ids=["threads", "solo", "prefork", "spawn"])
def test_every_pool_computes_can_be_cancelled_and_lets_its_last_task_end(
    coordinator: Coordinator, start_worker: StartWorker, options: list[str]
) -> None:
    worker = start_worker(*options).ready()
    long = coordinator.give("nap", X, params={"seconds": 30.0})
    coordinator.send(long)
    wait_until(lambda: any(beat["progress"] > 0 for beat in long.beats), about=worker.log)

    long.state = "dead"
    given = coordinator.give("toy", X)
    coordinator.send(given)
    wait_until(lambda: given.state == "answered", about=worker.log)
    assert long.puts == 0
    logged_by = worker.log().split("was cancelled")[0].splitlines()[-1]
    assert ("MainProcess" in logged_by) == ("prefork" not in " ".join(options))

    last = coordinator.give("nap", X, params={"seconds": 0.8, "silent": True})
    coordinator.send(last)
    wait_until(lambda: last.state == "computing", about=worker.log)
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert last.state == "answered"
    assert len(last.beats) >= 3  # its lease was renewed to the end


def test_a_killed_child_is_reported_within_a_heartbeat_or_two_and_the_worker_goes_on(
    coordinator: Coordinator, start_worker: StartWorker
) -> None:
    worker = start_worker("-P", "prefork", "-c", "2").ready()
    killer = coordinator.give("killer", X)
    given = coordinator.give("toy", X)
    coordinator.send(killer, given)

    wait_until(lambda: killer.state == "failed", 2.0, worker.log)
    wait_until(lambda: given.state == "answered", about=worker.log)
    assert killer.failure["fault"] == "worker" and "killed" in killer.failure["error"]
    assert killer.starts == 1


def test_what_a_killed_worker_had_in_hand_is_reported_at_its_next_start(
    coordinator: Coordinator, start_worker: StartWorker
) -> None:
    worker = start_worker().ready()
    given = coordinator.give("nap", X, params={"seconds": 30.0})
    coordinator.send(given)
    wait_until(lambda: given.beats, about=worker.log)

    worker.end()
    again = start_worker()

    wait_until(lambda: given.state == "failed", about=again.log)
    assert given.failure["fault"] == "worker"


def test_a_worker_runs_where_django_cannot_be_imported(
    coordinator: Coordinator, start_worker: StartWorker, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('django', 'rest_framework', 'channels', 'marketplace', 'computenet'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
    )
    root = Path(__file__).resolve().parents[2]
    worker = start_worker(
        PYTHONPATH=f"{tmp_path}:{root}", DJANGO_SETTINGS_MODULE="computenet.settings", COMPUTENET_HOME=str(tmp_path)
    ).ready()
    given = coordinator.give("toy", X)
    coordinator.send(given)

    wait_until(lambda: given.state == "answered", about=worker.log)
    assert "Traceback" not in worker.log()
