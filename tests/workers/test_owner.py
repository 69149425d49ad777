"""The machine's owner comes first. No GPU is here, so the driver's library is one of our own making."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.workers.coordinator import Coordinator
from tests.workers.processes import wait_until
from workers import device, owner
from workers.catalog.backend import NUMPY, Backend
from workers.limits import Limits
from workers.running import Board, HandedBack
from workers.settings import SettingsError, read_settings


class Driver:
    """What the tests' pynvml says of its one GPU."""

    NVML_TEMPERATURE_GPU = 0

    class NVMLError(Exception): ...

    def __init__(self) -> None:
        self.processes: list[int] = []
        self.celsius = 50

    def nvmlInit(self) -> None: ...

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        if index:
            raise self.NVMLError
        return "gpu"

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: str) -> list[Any]:
        return [SimpleNamespace(pid=pid) for pid in self.processes]

    def nvmlDeviceGetTemperature(self, gpu: str, sensor: int) -> int:
        return self.celsius


class Freeing(Backend):
    freed = 0

    def free_memory(self) -> None:
        type(self).freed += 1


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    made = Driver()
    monkeypatch.setattr(device, "pynvml", made)
    monkeypatch.setattr(owner, "pynvml", made)
    monkeypatch.setattr(owner, "RETURN_SECONDS", 0.0)
    monkeypatch.setattr(Freeing, "freed", 0)
    return made


@pytest.fixture
def stranger() -> Iterator[int]:
    """A process that is not a child of ours: this process's parent."""
    yield os.getppid()


def watching(tmp_path: Path, **settings: str) -> tuple[owner.Owner, Board]:
    board = Board(tmp_path)
    environment = {f"COMPUTENET_{name}": value for name, value in {"DEVICE": "0", **settings}.items()}
    backend = Freeing("torch", NUMPY.xp, "cpu", "float32")
    return owner.Owner(read_settings(environment), board, backend), board


def test_it_stands_aside_while_another_process_uses_the_gpu_and_frees_its_memory(
    driver: Driver, stranger: int, tmp_path: Path
) -> None:
    watch, board = watching(tmp_path)
    driver.processes = [os.getpid()]
    watch.look()
    assert board.aside == ""
    driver.processes.append(stranger)
    watch.look()
    assert board.aside == "another process uses the GPU" and Freeing.freed == 1
    driver.processes.remove(stranger)
    watch.look()
    assert board.aside == ""


def test_a_child_of_its_own_is_no_other_process() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert owner.is_ours(child.pid) and not owner.is_ours(os.getppid())
    finally:
        child.communicate(b"\n")


def test_it_goes_on_beside_others_where_its_owner_says_so(driver: Driver, stranger: int, tmp_path: Path) -> None:
    watch, board = watching(tmp_path, STAND_ASIDE="no")
    driver.processes = [stranger]
    watch.look()
    assert board.aside == ""


def test_it_stands_aside_above_a_set_temperature_until_the_gpu_is_cooler(driver: Driver, tmp_path: Path) -> None:
    watch, board = watching(tmp_path, MAX_TEMPERATURE="80")
    for celsius, expected in ((80, False), (81, True), (78, True), (75, False), (80, False)):
        driver.celsius = celsius
        watch.look()
        assert bool(board.aside) is expected, celsius


def test_no_temperature_is_too_hot_where_none_is_set(driver: Driver, tmp_path: Path) -> None:
    watch, board = watching(tmp_path)
    driver.celsius = 105
    watch.look()
    assert board.aside == ""


def test_a_fit_that_reports_no_progress_is_stopped_within_five_seconds(tmp_path: Path) -> None:
    board = Board(tmp_path)
    started_at = time.monotonic()
    board.stand_aside("another process uses the GPU")
    with pytest.raises(HandedBack), Limits(60.0, 10**9, lambda: None, lambda: not board.aside):
        while time.monotonic() < started_at + 20:
            np.ones(10).sum()
    assert time.monotonic() - started_at < 5


def test_a_gpu_that_is_not_there_is_named_in_one_sentence(driver: Driver, tmp_path: Path) -> None:
    settings = read_settings({"COMPUTENET_DEVICE": "1", "COMPUTENET_WORKER_HOME": str(tmp_path)})
    with pytest.raises(SettingsError, match="GPU 1, and the NVIDIA driver shows none"):
        device.find_device(settings, "torch")


@pytest.mark.parametrize(("name", "value"), [("STAND_ASIDE", "maybe"), ("MAX_TEMPERATURE", "hot")])
def test_a_wish_that_cannot_be_read_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        read_settings({f"COMPUTENET_{name}": value})


@pytest.mark.processes
def test_a_worker_that_stands_aside_hands_its_job_back_and_takes_none(start_worker: Any) -> None:
    worker = start_worker().ready()
    coordinator: Coordinator = worker.coordinator
    X = np.arange(12.0).reshape(4, 3)
    given = coordinator.give("nap", X, params={"seconds": 30, "silent": True})
    coordinator.send(given)
    wait_until(lambda: given.beats or given.state == "computing", about=worker.log)
    board = Board(worker.home / "running")
    board.stand_aside("another process uses the GPU")
    wait_until(lambda: given.state == "failed", 5.0, worker.log)
    assert given.failure["fault"] == "system" and "handed back" in given.failure["error"]
    wait_until(lambda: coordinator.heartbeats[-1][1].get("aside"), 5.0, worker.log)
    again = coordinator.give("toy", X)
    coordinator.send(again)
    wait_until(lambda: f"{again.spec['assignment']} is not taken" in worker.log(), about=worker.log)
    assert again.starts == 0
