"""What only a real server shows: limits while a body comes in, streams, sockets, and refusing to start."""

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from django.db import connection
from django.test import Client
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from marketplace import storage
from marketplace.models import guards
from tests.api.calls import WORKER, register_client, register_worker, submit_job
from tests.api.machine import Machine, assign
from tests.api.server import Server

pytestmark = pytest.mark.processes


@pytest.fixture
def server(committed_db: str, tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.wait_until_up()
    yield server
    server.stop()


def answer_to(server: Server, head: str, *chunks: bytes) -> tuple[int, str, int]:
    """Send a request as raw bytes, chunk after chunk until somebody hangs up; status, body, bytes that went out."""
    sent = 0
    with server.connect() as socket:
        socket.sendall(f"{head}\r\nHost: 127.0.0.1:{server.port}\r\nConnection: close\r\n\r\n".encode())
        try:
            for chunk in chunks:
                socket.sendall(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                sent += len(chunk)
        except OSError:
            pass
        received = b""
        try:
            while block := socket.recv(65536):
                received += block
        except ConnectionResetError:
            pass
    head_part, _, content = received.partition(b"\r\n\r\n")
    return int(head_part.split()[1]), content.decode(), sent


def test_limits_hosts_origins_and_chunks(server: Server) -> None:
    too_large_is_refused_before_a_byte_of_it_is_read(server)
    too_much_in_chunks_is_refused_as_it_comes(server)
    a_body_in_chunks_is_read(server)
    a_file_may_be_larger_than_other_bodies(server)
    a_foreign_host_is_refused(server)
    a_socket_opens_for_this_sites_pages_alone(server)


def too_large_is_refused_before_a_byte_of_it_is_read(server: Server) -> None:
    calls = [
        ("POST /job/submit", "application/json"),
        ("POST /nowhere", "application/json"),
        ("POST /datasets", "application/json"),
        ("POST /datasets", "multipart/form-data; boundary=x"),
        ("PUT /assignment/00000000-0000-4000-8000-000000000000/result", "application/octet-stream"),
    ]
    for line, kind in calls:
        head = f"{line} HTTP/1.1\r\nContent-Type: {kind}\r\nContent-Length: {10**15}"
        status, content, _ = answer_to(server, head)
        assert status == 413, (line, kind)
        answer = json.loads(content)
        assert answer["success"] is False and answer["error"].endswith("at most.")
    # A client that sends on regardless still reads the sentence.
    response = requests.post(f"{server.url}/job/submit", data=b"x" * 300_000, timeout=10)
    assert response.status_code == 413


def too_much_in_chunks_is_refused_as_it_comes(server: Server) -> None:
    head = "POST /job/submit HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked"
    status, content, sent = answer_to(server, head, *[b" " * 65536] * 400)
    assert status == 413 and json.loads(content)["success"] is False
    assert sent < 400 * 65536


def a_body_in_chunks_is_read(server: Server) -> None:
    body = json.dumps({"client_address": "chunked"}).encode()
    parts = (body[start : start + 5] for start in range(0, len(body), 5))
    headers = {"Content-Type": "application/json"}
    answer = requests.post(f"{server.url}/client/register", data=parts, headers=headers, timeout=10)
    assert answer.json() == {"success": True, "client_address": "chunked", "balance": 1000}


def a_file_may_be_larger_than_other_bodies(server: Server) -> None:
    table = b"a,b\n" + b"1.25,2.5\n" * 50_000
    answer = requests.post(f"{server.url}/datasets", files={"file": ("a.csv", table)}, timeout=20)
    assert answer.json()["rows"] == 50_000
    assert answer.json()["dataset_id"] == hashlib.sha256(table).hexdigest()


def a_foreign_host_is_refused(server: Server) -> None:
    answer = requests.get(f"{server.url}/health", headers={"Host": "evil.example"}, timeout=10)
    assert (answer.status_code, answer.json()["success"]) == (400, False)


def a_socket_opens_for_this_sites_pages_alone(server: Server) -> None:
    address = f"ws://127.0.0.1:{server.port}/live/home/"
    with connect(address, origin=server.url):  # type: ignore[arg-type]
        pass
    for headers in [{"Origin": "https://evil.example"}, {"Host": "evil.example", "Origin": "http://evil.example"},
                    {"Host": "evil.example", "Origin": server.url}]:  # fmt: skip
        with pytest.raises(InvalidStatus) as refused, connect(address, additional_headers=headers):
            pass
        assert refused.value.response.status_code == 403, headers


def test_a_large_matrix_is_streamed_and_never_held_in_memory(server: Server) -> None:
    client = Client()
    register_client(client)
    machine = Machine(register_worker(client).json()["enrolment_key"])
    assignment = assign(submit_job(client).json()["job_id"])
    sha256 = machine.start(assignment).json()["matrix"]["sha256"]
    size = 300 * 1024**2
    file = storage.path("matrices", sha256)
    usual = file.read_bytes()
    try:
        with file.open("wb") as large:
            large.truncate(size)
        before = server.peak_memory_bytes()
        received = 0
        url = f"{server.url}/dataset/{sha256}"
        with requests.get(url, headers=machine.headers, stream=True, timeout=30) as answer:
            assert answer.status_code == 200
            for block in answer.iter_content(1 << 20):
                if not received:
                    nobody_else_is_connected()
                received += len(block)
        assert received == size
        assert server.peak_memory_bytes() - before < 64 * 1024**2
        with requests.get(url, headers=machine.headers | {"Range": f"bytes={size - 7}-"}, timeout=10) as answer:
            assert (answer.status_code, len(answer.content)) == (206, 7)
    finally:
        file.write_bytes(usual)


def nobody_else_is_connected() -> None:
    """The stream holds no database connection; only PostgreSQL can say."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            assert cursor.fetchone()[0] == 0


def test_the_web_process_does_not_start_on_a_database_without_its_guards(committed_db: str, tmp_path: Path) -> None:
    assert guards.differences() == []
    guards.drop()
    connection.close()
    server = Server(tmp_path)
    assert server.process.wait(timeout=20) != 0
    said = server.log.read_text()
    assert "guard" in said and "manage.py migrate" in said and "Traceback" not in said
    guards.create()


def test_curl_does_the_seeds_basic_flow(server: Server) -> None:
    def curl(*arguments: str) -> dict[str, object]:
        done = subprocess.run(["curl", "-s", *arguments], capture_output=True, check=True, timeout=20)
        return json.loads(done.stdout)

    def post(path: str, body: dict[str, object]) -> dict[str, object]:
        header = ["-H", "Content-Type: application/json"]
        return curl("-X", "POST", f"{server.url}{path}", *header, "-d", json.dumps(body))

    assert post("/worker/register", WORKER)["balance"] == 100
    assert post("/client/register", {"client_address": "test_client", "initial_balance": 1000})["balance"] == 1000
    job = {"client_address": "test_client", "model_type": "linear_regression", "reward": 50}
    assert post("/job/submit", job)["status"] == "pending"
    assert curl("-X", "POST", f"{server.url}/network/coordination/trigger")["success"] is True
    assert curl(f"{server.url}/network/stats")["contract_state"]["total_jobs"] == 1  # type: ignore[index]
    assert curl(f"{server.url}/")["name"] == "computenet"
