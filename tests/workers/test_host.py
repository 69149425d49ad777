"""Settings, enrolment, the device, what is in hand, and computing with a check: all without a process of their own."""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.workers.coordinator import Coordinator
from tests.workers.toys import TOYS
from workers.catalog import MODELS
from workers.catalog.backend import NUMPY, Backend
from workers.catalog.base import Cancelled, CatalogModel, Check, DataError
from workers.catalog.gpus import KNOWN_GPUS
from workers.compute import Failed, check_specification, compute
from workers.device import Gauge, find_device, known_type
from workers.enrolment import EnrolmentError, broker_problem, broker_url, enrol
from workers.home import Credentials, Home, HomeError
from workers.protocol import Device, Specification
from workers.running import UPDATE_SECONDS, Board, OutOfTime, usable_id
from workers.settings import SettingsError, read_settings

X = np.arange(12.0).reshape(4, 3)
CPU: Device = {"gpu_type": "CPU", "name": "a CPU", "memory_bytes": 1, "backend": "numpy", "simulated": False}


@pytest.fixture
def plain() -> Iterator[Coordinator]:
    coordinator = Coordinator()
    yield coordinator
    coordinator.stop()


def settings_for(coordinator: Coordinator | str, home: Path, **more: str) -> Any:
    url = coordinator if isinstance(coordinator, str) else coordinator.url
    environment = {"COMPUTENET_URL": url, "COMPUTENET_WORKER_HOME": str(home), "COMPUTENET_KEY": "key-1"}
    return read_settings(environment | {f"COMPUTENET_{name}": value for name, value in more.items()})


# Settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("COMPUTENET_URL", "computenet.example.org"),
        ("COMPUTENET_URL", "ftp://computenet.example.org"),
        ("COMPUTENET_URL", "https://user:secret@computenet.example.org"),
        ("COMPUTENET_URL", "http://host:port"),
        ("COMPUTENET_CA_FILE", "/nowhere/ca.pem"),
        ("COMPUTENET_DEVICE", "gpu"),
        ("COMPUTENET_BACKEND", "jax"),
        ("COMPUTENET_CACHE_BYTES", "20GB"),
        ("COMPUTENET_CACHE_BYTES", "-1"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_in_one_sentence(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        read_settings({name: value})
    assert str(refusal.value).endswith(".") and value in str(refusal.value)


def test_settings_have_defaults() -> None:
    settings = read_settings({})
    assert settings.home == Path("~/.computenet-worker").expanduser().resolve()
    assert settings.cache_bytes == 20_000_000_000 and settings.url == "" and settings.device == ""


# Enrolment


def test_enrolment_goes_on_through_errors_of_the_coordinator(plain: Coordinator, tmp_path: Path) -> None:
    answers = iter([503, 500])
    plain.trouble = lambda method, path: next(answers, None)
    pauses: list[float] = []

    credentials = enrol(settings_for(plain, tmp_path), Home(tmp_path), CPU, 1, pause=pauses.append)

    assert credentials.worker_id == "worker-1" and len(pauses) == 2
    assert Home(tmp_path).credentials() == credentials
    assert stat.S_IMODE((tmp_path / "credentials.json").stat().st_mode) == 0o600


def test_another_key_enrols_another_worker_on_the_same_home(plain: Coordinator, tmp_path: Path) -> None:
    plain.keys.add("key-2")
    first = enrol(settings_for(plain, tmp_path), Home(tmp_path), CPU, 1)
    same = enrol(settings_for(plain, tmp_path), Home(tmp_path), CPU, 1)
    other = enrol(settings_for(plain, tmp_path, KEY="key-2"), Home(tmp_path), CPU, 1)

    assert same.worker == first.worker != other.worker
    assert Home(tmp_path).credentials() == other


def test_a_coordinator_that_refuses_a_restarting_host_does_not_stop_it(plain: Coordinator, tmp_path: Path) -> None:
    first = enrol(settings_for(plain, tmp_path), Home(tmp_path), CPU, 1)
    plain.trouble = lambda method, path: 403

    assert enrol(settings_for(plain, tmp_path, KEY=""), Home(tmp_path), CPU, 1) == first


def test_a_coordinator_that_moved_is_found_at_its_new_address(plain: Coordinator, tmp_path: Path) -> None:
    enrol(settings_for(plain, tmp_path), Home(tmp_path), CPU, 1)
    plain.stop()
    plain.port = 0
    plain.start()

    assert enrol(settings_for(plain, tmp_path, KEY=""), Home(tmp_path), CPU, 1).server == plain.url


def test_what_enrolment_needs_and_lacks_is_named(plain: Coordinator, tmp_path: Path) -> None:
    with pytest.raises(EnrolmentError, match="Set COMPUTENET_URL"):
        enrol(settings_for("", tmp_path), Home(tmp_path), CPU, 1)
    with pytest.raises(EnrolmentError, match="Set COMPUTENET_KEY"):
        enrol(settings_for(plain, tmp_path, KEY=""), Home(tmp_path), CPU, 1)
    with pytest.raises(EnrolmentError, match="refuses the enrolment key"):
        enrol(settings_for(plain, tmp_path, KEY="wrong"), Home(tmp_path), CPU, 1)
    plain.protocol = 99
    with pytest.raises(EnrolmentError, match="This package does not fit the coordinator"):
        enrol(settings_for(plain, tmp_path), Home(tmp_path), CPU, 1)
    plain.trouble = lambda method, path: 404
    with pytest.raises(EnrolmentError, match="check COMPUTENET_URL"):
        enrol(settings_for(plain, tmp_path), Home(tmp_path), CPU, 1)


@pytest.mark.parametrize(
    "change",
    [{"queue": "a\nb"}, {"secret": "a b"}, {"broker_url": "amqp://x"}, {"heartbeat_seconds": "2"}, {"worker": "../x"}],
)
def test_a_reply_that_is_no_enrolment_is_refused(plain: Coordinator, tmp_path: Path, change: dict[str, Any]) -> None:
    replied = plain.enrol
    plain.enrol = lambda body, worker: (200, {**replied(body, worker)[1], **change})  # type: ignore[method-assign]

    with pytest.raises(EnrolmentError, match="does not speak this protocol"):
        enrol(settings_for(plain, tmp_path), Home(tmp_path), CPU, 1)


def test_torn_credentials_are_said_plainly(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.credentials_file.write_text("{")
    with pytest.raises(HomeError, match="enrol again"):
        home.credentials()


def test_a_broker_over_tls_is_asked_for_its_certificate(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.touch()
    kept = Credentials("https://c", "w", "w1", "s", "q", "rediss://u:p@r:443/0?ssl_cert_reqs=none", 2.0)

    url = broker_url(kept, settings_for("https://c", tmp_path, CA_FILE=str(ca_file)))

    assert url.startswith("rediss://u:p@r:443/0?")
    assert "ssl_cert_reqs=required" in url and "ssl_check_hostname=true" in url and "ca.pem" in url


def test_a_redis_out_of_reach_is_named_without_its_password() -> None:
    said = broker_problem("redis://user:hidden@127.0.0.1:1/0")
    assert said is not None and "127.0.0.1:1" in said and "hidden" not in said


# The device


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("NVIDIA GeForce RTX 3090 Ti", "RTX 3090 Ti"),
        ("NVIDIA GeForce RTX 4080 SUPER", "RTX 4080 SUPER"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "RTX 4090 Laptop GPU"),
        ("RTX 4090", "RTX 4090"),
        ("NVIDIA Something 1", "Something 1"),
        ("", "CPU"),
    ],
)
def test_a_drivers_name_is_matched_with_the_known_gpus(name: str, expected: str) -> None:
    assert known_type(name, KNOWN_GPUS) == expected


def test_every_known_gpu_is_known_by_its_own_name() -> None:
    assert [name for name in KNOWN_GPUS if known_type(f"NVIDIA {name}", KNOWN_GPUS) != name] == []


def test_a_host_without_a_driver_says_that_it_is_a_cpu_host(tmp_path: Path) -> None:
    device, sentence = find_device(settings_for("http://c", tmp_path, DEVICE="cpu"), "numpy")
    assert device["gpu_type"] == "CPU" and not device["simulated"] and device["memory_bytes"] > 10**8
    assert "this is a CPU host" in sentence


def test_a_type_set_by_hand_is_marked_as_simulated(tmp_path: Path) -> None:
    device, sentence = find_device(settings_for("http://c", tmp_path, DEVICE="cpu", GPU_TYPE="RTX 4090"), "numpy")
    assert device["gpu_type"] == "RTX 4090" and device["simulated"]
    assert device["memory_bytes"] == KNOWN_GPUS["RTX 4090"].memory_bytes
    assert "simulated" in sentence


def test_a_cpu_host_knows_its_load_and_free_memory(tmp_path: Path) -> None:
    load, memory_free_bytes, temperature = Gauge(settings_for("http://c", tmp_path, DEVICE="cpu")).read()
    assert load is not None and 0.0 <= load <= 1.0
    assert memory_free_bytes is not None and memory_free_bytes > 0
    assert temperature is None


# What is in hand


def test_progress_is_kept_within_0_and_1_and_stays_json(tmp_path: Path) -> None:
    board = Board(tmp_path)
    hand = board.take("a-1", 3, 60.0)
    for said, expected in ((float("nan"), 0.0), (-1.0, 0.0), (2.0, 1.0)):
        hand._looked_at = hand._written_at = 0.0
        hand(said, "x" * 999)
        (beat,) = board.beats()
        assert beat["progress"] == expected and len(beat["note"]) == 200
        json.dumps(beat, allow_nan=False)


def test_a_fit_that_ends_at_once_is_one_file(tmp_path: Path, monkeypatch: Any) -> None:
    now, files = 1000.0, []
    replace = os.replace
    monkeypatch.setattr("workers.running.time.monotonic", lambda: now)
    monkeypatch.setattr("workers.running.os.replace", lambda *names: (files.append(names), replace(*names)))
    board = Board(tmp_path)
    hand = board.take("a-1", 3, 60.0)
    for progress in (0.5, 0.9, 1.0):
        hand(progress, "nearly there")
    assert len(files) == 1 and [(beat["progress"], beat["note"]) for beat in board.beats()] == [(0.0, "computing")]

    now += UPDATE_SECONDS + 0.001
    hand(0.6, "it takes longer")
    hand(0.7, "it goes on")
    assert len(files) == 2 and [beat["note"] for beat in board.beats()] == ["it takes longer"]
    hand.close()
    assert not list(tmp_path.iterdir())


def test_a_cancelled_or_late_fit_is_stopped_by_its_next_report(tmp_path: Path) -> None:
    board = Board(tmp_path)
    cancelled, late = board.take("a-1", 3, 60.0), board.take("a-2", 3, -1.0)
    assert board.cancel("a-1") and not board.cancel("a-9")

    with pytest.raises(Cancelled):
        cancelled(0.5, "half")
    with pytest.raises(OutOfTime):
        late(0.5, "half")


def test_fetching_for_long_keeps_the_lease_and_leaves_the_fit_its_time(tmp_path: Path, monkeypatch: Any) -> None:
    board = Board(tmp_path)
    now = 1000.0
    monkeypatch.setattr("workers.running.time.monotonic", lambda: now)
    hand = board.take("a", 1, 60.0)
    hand.allow(hand.seconds_left + 600.0, "fetching the data")
    now += 500.0
    hand(0.0, "fetching the data, 5 of 6 MB")
    assert [beat["note"] for beat in board.beats()] == ["fetching the data, 5 of 6 MB"]
    hand.allow(60.0, "computing")
    assert hand.seconds_left == 60.0
    now += 59.0
    hand(0.5, "half way")
    now += 2.0
    with pytest.raises(OutOfTime):
        hand.stop_if_dead()


def test_the_lease_of_a_fit_far_past_its_time_is_left_to_lapse(tmp_path: Path) -> None:
    board = Board(tmp_path)
    board.take("a-1", 3, -60.0)
    assert board.beats() == []


@pytest.mark.parametrize("name", ["../x", "", "a" * 65, "a/b", None, 5, "a\n"])
def test_what_cannot_be_a_file_is_no_assignment(name: object) -> None:
    assert not usable_id(name)


# Computing


def specification(model: str, **changes: Any) -> Specification:
    spec: Any = {
        "assignment": "a-1",
        "fence": 1,
        "model": model,
        "params": {},
        "seed": 0,
        "matrix": {"sha256": "0" * 64, "size_bytes": 224, "rows": 4, "columns": 3},
        "features": [0, 1, 2],
        "target": None,
        "limits": {"seconds": 60.0, "memory_bytes": 10**6},
    } | changes
    return spec


def toy(name: str) -> CatalogModel:
    return next(type(model)() for model in TOYS if model.name == name)


def no_progress(fraction: float, note: str) -> None: ...


def test_a_wrong_answer_is_computed_once_more_before_anyone_sees_it() -> None:
    spec = specification("wrong", params={"times": 1})
    answer = compute(spec, toy("wrong"), X, (NUMPY, NUMPY), no_progress)
    np.testing.assert_array_equal(answer["sums"], X.sum(axis=0))


def test_a_device_that_fails_is_replaced_by_numpy() -> None:
    class Device(type(toy("toy"))):  # type: ignore[misc]
        def fit(self, X: Any, y: Any, params: Any, seed: int, *, backend: Backend, progress: Any) -> Any:
            if backend.name == "torch":
                raise RuntimeError("CUDA error: out of memory")
            return super().fit(X, y, params, seed, backend=backend, progress=progress)

    backends = (Backend("torch", None, "cuda", "float32"), NUMPY)
    answer = compute(specification("toy"), Device(), X, backends, no_progress)

    np.testing.assert_array_equal(answer["sums"], X.sum(axis=0))


def test_an_inconclusive_answer_of_numpy_is_left_to_the_coordinator() -> None:
    class Unsure(type(toy("toy"))):  # type: ignore[misc]
        def check(self, *arguments: Any, **options: Any) -> Check:
            return Check("inconclusive", "none", "Who knows.")

    assert "sums" in compute(specification("toy"), Unsure(), X, (NUMPY, NUMPY), no_progress)


def test_an_answer_of_another_shape_is_not_sent() -> None:
    class Odd(type(toy("toy"))):  # type: ignore[misc]
        def fit(self, *arguments: Any, **options: Any) -> Any:
            return {"sums": np.zeros(9)}

    with pytest.raises(Failed, match="malformed") as failure:
        compute(specification("toy"), Odd(), X, (NUMPY, NUMPY), no_progress)
    assert failure.value.fault == "system"


def test_the_fault_of_bad_data_is_the_jobs() -> None:
    with pytest.raises(Failed) as failure:
        compute(specification("bad-data"), toy("bad-data"), X, (NUMPY, NUMPY), no_progress)
    assert failure.value.fault == "job" and isinstance(failure.value.__cause__, DataError)


@pytest.mark.parametrize(
    "change",
    [
        {"features": []},
        {"features": [-1]},
        {"features": [True]},
        {"target": 3},
        {"limits": {"seconds": float("nan"), "memory_bytes": 10**6}},
        {"limits": {"seconds": 1.0, "memory_bytes": 95}},
    ],
)
def test_a_specification_that_cannot_be_met_is_the_systems_fault(
    change: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODELS, "toy", toy("toy"))
    with pytest.raises(Failed) as failure:
        check_specification(specification("toy", **change))
    assert failure.value.fault == "system"
