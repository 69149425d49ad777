"""The spool and its outbox, the HTTP client and the cache, each against a real HTTP server in this process."""

import hashlib
import io
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.workers.coordinator import Coordinator
from tests.workers.redis_server import free_port
from workers.client import Client, Refused, Unavailable
from workers.datasets import Cache, NoRoom, WrongMatrix
from workers.outbox import Outbox
from workers.protocol import FENCE_HEADER, TOGETHER_ANSWER_BYTES, Matrix
from workers.spool import Spool
from workers.together import Offer

X = np.arange(12.0).reshape(4, 3)
SIZES = [(3, {"a-1.json"}), (TOGETHER_ANSWER_BYTES // 8 + 1, {"a-1.json", "a-1.npz"})]  # numbers, files


@pytest.fixture
def plain() -> Iterator[Coordinator]:
    """A coordinator without a Redis, with one worker known."""
    coordinator = Coordinator()
    known = {"worker": "w", "secret": "s", "queue": "q", "broker_url": "redis://127.0.0.1:1/0"}
    coordinator.workers["w"] = known | {"worker_id": "worker-1", "heartbeat_seconds": 0.2}
    yield coordinator
    coordinator.stop()


def client_of(coordinator: Coordinator) -> Client:
    return Client(coordinator.url, authorization="Worker w.s")


def computing(coordinator: Coordinator) -> str:
    given = coordinator.give("toy", X)
    given.state = "computing"
    return str(given.spec["assignment"])


@pytest.mark.parametrize(("numbers", "files"), SIZES)
@pytest.mark.parametrize(("status", "aside"), [(409, False), (410, False), (400, True), (413, True)])
def test_what_a_refusal_does_to_an_answer(
    plain: Coordinator, tmp_path: Path, status: int, aside: bool, numbers: int, files: set[str]
) -> None:
    spool = Spool(tmp_path)
    spool.put_result("a-1", 7, {"sums": np.zeros(numbers)}, 0.1)
    plain.trouble = lambda method, path: status

    Outbox(spool, client_of(plain), Offer()).deliver()

    assert not spool.holds("a-1")
    refused = {file.name for file in (tmp_path / "refused").glob("*")} if (tmp_path / "refused").exists() else set()
    assert refused == (files if aside else set())
    assert not (tmp_path / "a-1.npz").exists()


@pytest.mark.parametrize("status", [500, 502, 503, 408, 429])
def test_an_answer_is_tried_again_after_an_error_and_not_at_once(
    plain: Coordinator, tmp_path: Path, status: int
) -> None:
    assignment = computing(plain)
    spool = Spool(tmp_path)
    spool.put_result(assignment, 7, {"sums": X[0]}, 0.1)
    plain.trouble = lambda method, path: status
    outbox = Outbox(spool, client_of(plain), Offer())

    assert outbox.deliver() > 0.1
    plain.trouble = lambda method, path: None
    outbox.deliver()
    assert spool.holds(assignment) and plain.given[assignment].puts == 0
    time.sleep(0.35)
    outbox.deliver()

    assert not spool.holds(assignment) and plain.given[assignment].puts == 1
    np.testing.assert_array_equal(plain.given[assignment].answer["sums"], X[0])


def test_one_answer_that_waits_does_not_keep_another(plain: Coordinator, tmp_path: Path) -> None:
    slow, quick = computing(plain), computing(plain)
    spool = Spool(tmp_path)
    spool.put_result(slow, 7, {"sums": X[0]}, 0.1)
    spool.put_result(quick, 7, {"sums": X[0]}, 0.1)
    plain.trouble = lambda method, path: 500 if slow in path else None

    Outbox(spool, client_of(plain), Offer()).deliver()

    assert spool.waiting() == [slow]


def test_an_outbox_that_is_closed_delivers_first(plain: Coordinator, tmp_path: Path) -> None:
    assignment = computing(plain)
    outbox = Outbox(Spool(tmp_path), client_of(plain), Offer())
    outbox.start()
    outbox.spool.put_failure(assignment, 7, "job", "It cannot be fitted.")

    outbox.close(5.0)
    outbox.join(5.0)

    assert plain.given[assignment].failure == {"fence": 7, "fault": "job", "error": "It cannot be fitted."}


@pytest.mark.parametrize(("numbers", "files"), SIZES)
def test_an_archive_without_its_note_does_not_count_and_is_deleted(
    tmp_path: Path, numbers: int, files: set[str]
) -> None:
    spool = Spool(tmp_path)
    spool.put_result("a-1", 7, {"sums": np.zeros(numbers)}, 0.1)
    (tmp_path / "a-2.npz").write_bytes(b"half")
    (tmp_path / "a-3.tmp").write_bytes(b"half")

    spool.clean()

    assert spool.waiting() == ["a-1"]
    assert {file.name for file in tmp_path.iterdir()} == files


@pytest.mark.parametrize(("numbers", "files"), SIZES)
def test_an_answer_on_disk_is_an_uncompressed_archive_with_its_digest(
    tmp_path: Path, numbers: int, files: set[str]
) -> None:
    spool, sums = Spool(tmp_path), np.arange(float(numbers))
    spool.put_result("a-1", 7, {"sums": sums, "more": X}, 0.25)

    note = spool.read("a-1")
    with spool.open_result("a-1") as file:
        content = file.read()

    beside = 0 if "a-1.npz" in files else len(content)
    digest = hashlib.sha256(content).hexdigest()
    assert note == {"fence": 7, "digest": digest, "seconds": 0.25, "size_bytes": beside}
    assert len(content) > X.nbytes + sums.nbytes and {file.name for file in tmp_path.iterdir()} == files
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["more"], X)
        np.testing.assert_array_equal(arrays["sums"], sums)


@pytest.mark.parametrize(("numbers", "archive"), [(3, []), (TOGETHER_ANSWER_BYTES // 8 + 1, ["flush", ".npz"])])
def test_all_of_an_answer_and_its_name_are_on_the_disk_before_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numbers: int, archive: list[str]
) -> None:
    done: list[str] = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (done.append("flush"), sync(file)))
    monkeypatch.setattr(os, "replace", lambda *names: (done.append(names[1].suffix), replace(*names)))
    spool = Spool(tmp_path)

    spool.put_result("a-1", 7, {"sums": np.zeros(numbers)}, 0.25)

    assert done == [*archive, "flush", ".json", "flush"]


def test_an_answer_that_an_earlier_version_left_is_delivered(plain: Coordinator, tmp_path: Path) -> None:
    spool, given = Spool(tmp_path), computing(plain)
    spool.put_result(given, 7, {"sums": X[0]}, 0.25)
    with spool.open_result(given) as file:  # it kept each archive beside its note
        (tmp_path / f"{given}.npz").write_bytes(file.read())
    note = spool.read(given) or {}
    del note["size_bytes"]
    (tmp_path / f"{given}.json").write_text(json.dumps(note))

    Outbox(spool, client_of(plain), Offer()).deliver()

    np.testing.assert_array_equal(plain.given[given].answer["sums"], X[0])
    assert not list(tmp_path.iterdir())


def test_an_object_array_is_never_pickled_into_an_answer(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="[Oo]bject"):
        Spool(tmp_path).put_result("a-1", 7, {"sums": np.array([{}], dtype=object)}, 0.1)
    assert Spool(tmp_path).waiting() == []


# The client


def test_a_client_never_repeats_what_was_refused(plain: Coordinator) -> None:
    plain.trouble = lambda method, path: 404

    with pytest.raises(Refused, match="Trouble on command") as refusal:
        client_of(plain).json("POST", "/assignment/x/start", {}, persist_seconds=5.0)

    assert refusal.value.status == 404 and len(plain.calls) == 1


def test_a_client_persists_through_errors_for_a_while(plain: Coordinator) -> None:
    plain.trouble = lambda method, path: 503

    with pytest.raises(Unavailable, match="503"):
        client_of(plain).json("POST", "/worker/heartbeat", {}, persist_seconds=0.5)

    assert 2 <= len(plain.calls) <= 4


def test_a_server_that_never_answers_is_left_in_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        client = Client(f"http://127.0.0.1:{silent.getsockname()[1]}")
        begun_at = time.monotonic()

        with pytest.raises(Unavailable, match="timed out"):
            client.json("POST", "/worker/heartbeat", {}, seconds=0.3)

        assert time.monotonic() - begun_at < 2.0


def test_a_redirect_is_not_followed_with_the_secret(plain: Coordinator) -> None:
    plain.trouble = lambda method, path: 302

    with pytest.raises(Refused):
        client_of(plain).json("POST", "/worker/heartbeat", {})

    assert len(plain.calls) == 1


def test_a_netrc_does_not_replace_the_workers_secret(
    plain: Coordinator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    reply = client_of(plain).json("POST", "/worker/heartbeat", {"assignments": []})

    assert reply["cancel"] == []


def test_a_connection_is_used_again(plain: Coordinator) -> None:
    client, assignment = client_of(plain), computing(plain)
    ports = set()
    opened = plain.server.process_request

    def noting(request: Any, client_address: Any) -> None:
        ports.add(client_address[1])
        opened(request, client_address)

    plain.server.process_request = noting  # type: ignore[method-assign]
    for _ in range(3):
        client.json("POST", "/worker/heartbeat", {"assignments": []})
        with pytest.raises(Refused):
            client.put(f"/assignment/{assignment}/result", io.BytesIO(b"x"), {FENCE_HEADER: "9"})

    assert len(ports) == 1


# The cache


def wanted(so_far: int) -> None:
    """Always."""


def matrix_of(coordinator: Coordinator, data: NDArray[np.float64]) -> Matrix:
    found: Any = coordinator.add_matrix(data)
    return found


def served(coordinator: Coordinator, content: bytes, **said: Any) -> Matrix:
    """Serve `content` as a matrix that is said to be X, with changes."""
    digest = hashlib.sha256(content).hexdigest()
    coordinator.matrices[digest] = content
    matrix: Any = {"sha256": digest, "size_bytes": len(content), "rows": 4, "columns": 3} | said
    return matrix


def npy(array: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def test_the_least_recently_used_matrix_goes_first(plain: Coordinator, tmp_path: Path) -> None:
    matrices = [matrix_of(plain, X + number) for number in range(3)]
    cache = Cache(tmp_path, matrices[0]["size_bytes"] * 2)
    client = client_of(plain)
    for number in (0, 1, 0, 2):
        mapped = cache.open(matrices[number], client, wanted)
        np.testing.assert_array_equal(mapped, X + number)
        time.sleep(0.01)

    assert {file.stem for file in tmp_path.glob("*.npy")} == {matrices[0]["sha256"], matrices[2]["sha256"]}


def test_what_the_cache_holds_is_mapped_and_never_written(plain: Coordinator, tmp_path: Path) -> None:
    matrix, cache = matrix_of(plain, X), Cache(tmp_path, 10**6)
    assert cache.find(matrix) is None and plain.calls == []
    cache.open(matrix, client_of(plain), wanted)

    found = cache.find(matrix)

    assert isinstance(found, np.memmap) and found.mode == "r" and not found.flags.writeable
    assert found[:2].filename == str(tmp_path / f"{matrix['sha256']}.npy")  # where copies of it may lie
    np.testing.assert_array_equal(found, X)


def test_a_matrix_larger_than_the_cache_is_not_fetched(plain: Coordinator, tmp_path: Path) -> None:
    with pytest.raises(NoRoom, match="224 bytes"):
        Cache(tmp_path, 100).open(matrix_of(plain, X), client_of(plain), wanted)
    assert plain.calls == []


def test_threads_that_want_one_matrix_fetch_it_once(plain: Coordinator, tmp_path: Path) -> None:
    matrix, client, cache = matrix_of(plain, X), client_of(plain), Cache(tmp_path, 10**6)
    threads = [threading.Thread(target=cache.open, args=(matrix, client, wanted)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(plain.calls) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (npy(np.array([{}] * 12, dtype=object).reshape(4, 3), allow_pickle=True), {}),
        (npy(X.astype(np.float32)), {"size_bytes": 224}),
        (npy(np.asfortranarray(X)), {}),
        (npy(X.T.copy()), {}),
        (npy(X) + b"more", {}),
        (b"\x80\x04K\x01." + bytes(300), {}),
        (npy(X), {"size_bytes": 1_000}),
        (npy(X), {"rows": 10**9}),
        (npy(X), {"sha256": "../../../etc/passwd"}),
    ],
    ids=["pickle", "float32", "fortran", "shape", "trailing", "not npy", "short", "too many rows", "a path for a hash"],
)
def test_a_matrix_that_is_not_as_said_is_refused(
    plain: Coordinator, tmp_path: Path, content: bytes, said: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.datasets.PERSIST_SECONDS", 0.2)
    with pytest.raises((WrongMatrix, Unavailable)):
        Cache(tmp_path, 10**6).open(served(plain, content, **said), client_of(plain), wanted)
    assert not list(tmp_path.glob("*.npy"))


def test_a_torn_download_of_an_earlier_process_is_replaced(plain: Coordinator, tmp_path: Path) -> None:
    matrix = matrix_of(plain, X)
    (tmp_path / f"{matrix['sha256']}.part").write_bytes(bytes(100))

    mapped = Cache(tmp_path, 10**6).open(matrix, client_of(plain), wanted)

    np.testing.assert_array_equal(mapped, X)


def test_a_cached_file_of_another_size_is_fetched_again(plain: Coordinator, tmp_path: Path) -> None:
    matrix = matrix_of(plain, X)
    (tmp_path / f"{matrix['sha256']}.npy").write_bytes(b"cut")

    np.testing.assert_array_equal(Cache(tmp_path, 10**6).open(matrix, client_of(plain), wanted), X)


def test_downloads_that_nobody_takes_up_are_deleted_after_a_day(tmp_path: Path) -> None:
    old, new = tmp_path / "old.part", tmp_path / "new.part"
    old.touch()
    new.touch()
    os.utime(old, (time.time() - 90_000,) * 2)

    Cache(tmp_path, 10**6).clean()

    assert not old.exists() and new.exists()


def test_nothing_listens_is_said_plainly() -> None:
    with pytest.raises(Unavailable, match=r"does not answer \(Connection refused\)"):
        Client(f"http://127.0.0.1:{free_port()}").json("POST", "/worker/enrol", {})
