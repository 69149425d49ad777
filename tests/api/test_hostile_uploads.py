"""Archive bombs, lying headers and endless bodies against a real server: refused, and never held in memory."""

import io
import json
import struct
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from marketplace.models import Dataset
from tests.api.server import Server

pytestmark = pytest.mark.processes
MiB = 1024**2
MOST_GROWTH = 64 * MiB
SMALL = {"MAX_UPLOAD_BYTES": str(48 * MiB), "MAX_MATRIX_CELLS": str(2 * MiB)}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def server(committed_db: str, tmp_path: Path, home: Path) -> Iterator[Server]:
    (home / "static").mkdir(parents=True)
    server = Server(tmp_path, COMPUTENET_HOME=str(home), **SMALL)
    server.wait_until_up()
    yield server
    server.stop()


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def lying_npy(shape: str, bytes_after: int = 64, descr: str = "'<f8'") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"\0" * bytes_after


def archive(members: dict[str, Iterable[bytes]], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression, compresslevel=1) as made:
        for name, chunks in members.items():
            with made.open(name, "w", force_zip64=True) as member:
                for chunk in chunks:
                    member.write(chunk)
    return file.getvalue()


def zeros(gigabytes: int) -> Iterator[bytes]:
    """A ``.npy`` file of zeros whose header is honest."""
    yield lying_npy(f"({gigabytes * 1024**3 // 8},)", 0)
    for _ in range(gigabytes * 64):
        yield bytes(16 * MiB)


def long_directory() -> bytes:
    """An archive of 300,000 empty members: 30 MB of directory, some 200 MB of objects if it were read."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("X.npy", npy(np.ones((3, 2))))
        info = zipfile.ZipInfo("a" * 50)
        info.header_offset = info.CRC = info.compress_size = info.file_size = 0
        made.filelist += [info] * 300_000
        made._didModify = True  # type: ignore[attr-defined]
    return file.getvalue()


def hungry_lzma() -> bytes:
    """A member whose decompressor asks for a dictionary of 4 GiB before it gives a byte."""
    content = bytearray(archive({"X.npy": [npy(np.zeros(1000))]}, zipfile.ZIP_LZMA))
    properties = content.index(b"\x5d\x00\x00\x80\x00")
    content[properties + 1 : properties + 5] = b"\xff\xff\xff\xff"
    return bytes(content)


def bombs() -> dict[str, tuple[str, bytes]]:
    nested = archive({f"lib {i}.zip": [archive({"0.dll": [bytes(8 * MiB)]})] for i in range(16)})
    return {
        "zips in a zip, as 42.zip": ("42.npz", nested),
        "a zip that says it is a table": ("42.csv", nested),
        "1 GiB of zeros in a few MB": ("bomb.npz", archive({"X.npy": zeros(1)})),
        "a directory without end": ("many.npz", long_directory()),
        "a greedy decompressor": ("lzma.npz", hungry_lzma()),
        "a header of 10^18 numbers": ("a.npy", lying_npy("(1000000000, 1000000000)")),
        "a header whose product overflows to what came": ("b.npy", lying_npy(f"({2**61}, 8)", 0)),
        "a header below zero": ("c.npy", lying_npy("(-1, -8)")),
        "a header that claims less than came": ("d.npy", lying_npy("(1, 1)")),
        "a lying header in an archive": ("e.npz", archive({"X.npy": [lying_npy("(1000000000, 1000000000)")]})),
        "objects": ("f.npy", npy(np.array([{"a": 1}], dtype=object))),
        "a header that nests without end": ("g.npy", lying_npy("(" * 50_000)),
        "one line without end": ("h.csv", b"1," * (20 * MiB)),
        "one row without end": ("i.csv", b"a,b\n1," + b"2" * (40 * MiB)),
    }


def refused(server: Server, name: str, content: bytes) -> str:
    answer = requests.post(f"{server.url}/datasets", files={"file": (name, content)}, timeout=120)
    assert answer.status_code == 400, (name, answer.status_code, answer.text[:300])
    assert answer.json()["success"] is False
    return answer.json()["error"]


def stored(home: Path) -> list[Path]:
    return [path for path in (home / "files").rglob("*") if path.is_file()]


def test_bombs_and_liars_are_refused_and_the_process_does_not_grow(server: Server, home: Path) -> None:
    for name, content in [("a.csv", b"a,b\n1,2\n3,4\n"), ("a.npy", npy(np.ones((9, 2)))), ("a.npz", archive(
        {"X.npy": [npy(np.ones((5, 3)))]}))]:  # fmt: skip
        assert requests.post(f"{server.url}/datasets", files={"file": (name, content)}, timeout=60).status_code == 200
    kept, rows = stored(home), Dataset.objects.count()
    before = server.peak_memory_bytes()
    growth = {}
    for what, (name, content) in bombs().items():
        refused(server, name, content)
        growth[what] = (server.peak_memory_bytes() - before) // MiB
    assert max(growth.values()) * MiB < MOST_GROWTH, growth
    assert sorted(stored(home)) == sorted(kept), "what was refused is gone"
    assert Dataset.objects.count() == rows


def send_a_gigabyte(server: Server, head: str, *, chunked: bool) -> tuple[int, int]:
    """Status, and the bytes that went out before the server hung up."""
    sent, block = 0, bytes(MiB)
    with server.connect() as socket:
        socket.settimeout(60)
        length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {1024 * MiB}"
        socket.sendall(f"{head}\r\nHost: 127.0.0.1:{server.port}\r\n{length}\r\n\r\n".encode())
        try:
            while sent < 1024 * MiB:
                socket.sendall(b"%x\r\n%s\r\n" % (len(block), block) if chunked else block)
                sent += len(block)
        except OSError:
            pass
        try:
            received = socket.recv(65536)
        except ConnectionResetError:
            return 0, sent
    return int(received.split()[1]), sent


UPLOAD = "POST /datasets HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=x"
RESULT = (
    "PUT /assignment/00000000-0000-4000-8000-000000000000/result HTTP/1.1\r\n"
    "Content-Type: application/octet-stream\r\nAuthorization: Worker 00000000-0000-4000-8000-000000000000.made-up"
)


def test_a_gigabyte_is_refused_as_soon_as_it_is_too_much(server: Server) -> None:
    before = server.peak_memory_bytes()
    for chunked in (False, True):
        for head in (UPLOAD, "POST /job/submit HTTP/1.1\r\nContent-Type: application/json"):
            status, sent = send_a_gigabyte(server, head, chunked=chunked)
            assert status in (413, 0), status  # 0: the server hung up before its answer was read
            assert sent < (60 if chunked else 16) * MiB
    assert server.peak_memory_bytes() - before < MOST_GROWTH


def test_a_caller_without_a_right_is_refused_before_its_body_is_taken(committed_db: str, tmp_path: Path) -> None:
    server = Server(tmp_path, COMPUTENET_SANDBOX="0", ALLOWED_HOSTS="127.0.0.1", MAX_UPLOAD_BYTES=str(1024 * MiB))
    try:
        server.wait_until_up()
        for head in (UPLOAD, RESULT, UPLOAD.replace("/datasets", "/dashboard/jobs/")):
            with server.connect() as socket:
                socket.settimeout(20)
                length = 500 * MiB if head is not RESULT else 900_000
                socket.sendall(
                    f"{head}\r\nHost: 127.0.0.1:{server.port}\r\nExpect: 100-continue\r\n"
                    f"Content-Length: {length}\r\n\r\n".encode()
                )
                answer = b""  # not a byte of the body was sent, and none is asked for
                while block := socket.recv(65536):
                    answer += block
            assert int(answer.split()[1]) in (401, 403), answer[:300]
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["success"] is False
    finally:
        server.stop()


def test_a_body_that_stops_coming_is_not_waited_for_without_end(committed_db: str, tmp_path: Path) -> None:
    server = Server(tmp_path, BODY_IDLE_SECONDS="1")
    try:
        server.wait_until_up()
        with server.connect() as socket:
            head = "POST /client/register HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 100"
            socket.sendall(f"{head}\r\nHost: 127.0.0.1:{server.port}\r\n\r\n{{".encode())
            assert socket.recv(65536).split()[1] == b"408"
    finally:
        server.stop()
