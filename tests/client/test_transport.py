"""Calls against a real HTTP server that misbehaves in a set order."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from computenet_client import Network, NotAllowed, NotFound, Refused, Unreachable
from computenet_client.data import prepared
from computenet_client.transport import Transport
from tests.sandbox.running import free_port

HANG_UP = 0  # in the place of a status: close the connection without an answer
Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]]


class Server(ThreadingHTTPServer):
    """Gives `answers` in their order, the last again and again; keeps what was asked."""

    daemon_threads = True

    def __init__(self, answers: list[Answer]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = answers
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.command, self.path, dict(self.headers), body))
        status, document, *more = self.server.answers[min(len(self.server.asked), len(self.server.answers)) - 1]
        if status == HANG_UP:
            self.close_connection = True
            return
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        for name, value in (more[0] if more else {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = answer

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def server(*answers: Answer) -> Iterator[Server]:
    found = Server(list(answers))
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield found
    finally:
        found.shutdown()
        thread.join()
        found.server_close()


def transport(url: str, key: str | None = None, patience: float = 3.0) -> Transport:
    return Transport(url, key, timeout=5.0, patience=patience)


def test_a_call_is_repeated_until_the_network_is_back() -> None:
    with server((503, {"error": "Starting."}), (HANG_UP, None), (200, {"status": "healthy"})) as found:
        assert transport(found.url).call("GET", "/health") == {"status": "healthy"}
        assert len(found.asked) == 3


def test_a_submission_is_repeated_with_the_same_idempotency_key() -> None:
    job = {"success": True, "job_id": "2a7e7a70-55e0-4a4e-a2ff-27ed4d9a4a54", "status": "pending"}
    data = {"dataset_id": "", "rows": 2, "columns": ["a"], "text_columns": []}
    with server((200, data), (HANG_UP, None), (502, b"<html>"), (200, job)) as found:
        network = Network(found.url, client="alice", patience=5.0)
        with pytest.raises(Refused, match="changed while they were sent"):
            network.upload([[1.0], [2.0]])  # the server names other data than these
        network._there.clear()
        found.asked.clear()
        found.answers[0] = (200, data | {"dataset_id": _sha256([[1.0], [2.0]])})
        assert network.submit("pca", [[1.0], [2.0]], reward=1).id == job["job_id"]
        posts = [(headers["Idempotency-Key"], body) for method, _, headers, body in found.asked if method == "POST"]
        assert len(posts) == 3 and len(set(posts)) == 1


def _sha256(rows: list[list[float]]) -> str:
    with prepared(rows) as file:
        return file.sha256


def test_what_could_be_done_twice_is_not_repeated_and_the_error_says_so() -> None:
    with server((HANG_UP, None)) as found:
        with pytest.raises(Unreachable, match="may have been done all the same"):
            transport(found.url).call("POST", "/token/approve", body={})
        assert len(found.asked) == 1


def test_a_registration_is_repeated_under_one_key() -> None:
    with server((HANG_UP, None), (200, {"balance": 7})) as found:
        assert Network(found.url, client="alice").register() == 7
        assert len({headers["Idempotency-Key"] for _, _, headers, _ in found.asked}) == 1 and len(found.asked) == 2


def test_a_network_that_never_answered_did_nothing_and_the_error_says_no_more() -> None:
    with pytest.raises(Unreachable, match="is the address right") as raised:
        Network(f"http://127.0.0.1:{free_port()}", client="alice", patience=0.3).register()
    assert "all the same" not in str(raised.value)


def test_a_throttled_call_waits_as_long_as_the_network_says() -> None:
    with server((429, {"error": "Too often."}, {"Retry-After": "1"}), (200, {"ok": True})) as found:
        began = time.monotonic()
        assert transport(found.url, patience=0.1).call("POST", "/client/register", body={}) == {"ok": True}
        assert 1.0 <= time.monotonic() - began < 3.0


def test_the_key_goes_with_every_call_and_what_a_netrc_holds_never_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login eve password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with server((200, {"ok": True})) as found:
        transport(found.url, "cnk_alice").call("GET", "/workers")
        transport(found.url).call("GET", "/workers")
        with_key, without = [headers.get("Authorization") for _, _, headers, _ in found.asked]
        assert (with_key, without) == ("Bearer cnk_alice", None)


@pytest.mark.parametrize(
    ("status", "kind", "sentence"),
    [
        (400, Refused, "k must be at least 1."),
        (401, NotAllowed, "run `computenet login`"),
        (403, NotAllowed, "k must be at least 1."),
        (404, NotFound, "k must be at least 1."),
        (409, Refused, "k must be at least 1."),
        (500, Unreachable, "answered 500"),
    ],
)
def test_a_refusal_is_the_networks_own_sentence(status: int, kind: type[Exception], sentence: str) -> None:
    refusal = status, {"success": False, "error": "k must be at least 1."}
    with server(refusal) as found, pytest.raises(kind, match=sentence):
        transport(found.url).call("POST", "/quote", body={})


def test_an_address_that_is_no_computenet_network_is_named_as_such() -> None:
    sentence = "is this the address of a computenet network"
    with server((200, b"<html>Welcome</html>")) as found, pytest.raises(Unreachable, match=sentence):
        transport(found.url).call("GET", "/health")


def test_a_key_is_not_sent_unencrypted_without_a_warning() -> None:
    with pytest.warns(UserWarning, match="without encryption; use https"):
        Network("http://compute.example.org", "cnk_alice")


@pytest.mark.parametrize("url", ["compute.example.org", "ftp://compute.example.org", "http://", ""])
def test_an_address_without_a_host_is_refused(url: str) -> None:
    with pytest.raises(Refused, match="must begin with http"):
        Network(url)


def test_what_json_cannot_hold_is_refused_before_anything_is_sent() -> None:
    with server((200, {})) as found:
        with pytest.raises(Refused, match="cannot be written as JSON"):
            Network(found.url, client="alice").submit("ridge", [[1.0]], reward=1, alpha=float("nan"))
        assert not found.asked
