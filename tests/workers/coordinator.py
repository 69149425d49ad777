"""A small coordinator for tests: the wire contract over real HTTP, which can misbehave on command."""

import contextlib
import hashlib
import io
import json
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from celery import Celery
from kombu import Exchange, Queue
from numpy.typing import NDArray

from tests.workers.redis_server import RedisServer
from workers.protocol import (
    DIGEST_HEADER,
    FENCE_HEADER,
    PROTOCOL_VERSION,
    SECONDS_HEADER,
    TASK_NAME,
    gpu_tag,
    queue_name,
)


@dataclass
class Given:
    """One assignment, and what became of it."""

    spec: dict[str, Any]
    queue: str
    state: str = "assigned"  # computing, answered, failed, dead
    sent_at: float = 0.0
    answered_at: float = 0.0
    digest: str = ""
    answer: dict[str, NDArray[Any]] = field(default_factory=dict)
    seconds: float = -1.0
    failure: dict[str, Any] = field(default_factory=dict)
    beats: list[dict[str, Any]] = field(default_factory=list)
    puts: int = 0
    starts: int = 0


class Coordinator:
    """Implements `workers.protocol`. `trouble` is asked before each call for a status to answer with instead."""

    def __init__(self, redis_server: RedisServer | None = None) -> None:
        self.redis = redis_server
        self.keys = {"key-1"}
        self.workers: dict[str, dict[str, Any]] = {}
        self.enrolments: list[dict[str, Any]] = []
        self.heartbeats: list[tuple[float, dict[str, Any]]] = []
        self.matrices: dict[str, bytes] = {}
        self.given: dict[str, Given] = {}
        self.drain = False
        self.together = 0  # how many assignments it offers to take in one call
        self.protocol = PROTOCOL_VERSION
        self.calls: list[tuple[str, str, str]] = []  # method, path, Range
        self.trouble: Callable[[str, str], int | None] = lambda method, path: None
        self.cut_dataset_after: int | None = None  # bytes of the next download before its connection breaks
        self.lock = threading.RLock()
        self.port = 0
        self.start()

    def start(self) -> None:
        coordinator = self

        class Bound(Handler):
            owner = coordinator

        self.server = Server(("127.0.0.1", self.port), Bound)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections, as a process that ended does; `start` brings the same address back."""
        self.server.shutdown()
        self.server.server_close()
        self.server.cut()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add_matrix(self, X: NDArray[np.float64]) -> dict[str, Any]:
        buffer = io.BytesIO()
        np.save(buffer, np.ascontiguousarray(X))
        content = buffer.getvalue()
        digest = hashlib.sha256(content).hexdigest()
        self.matrices[digest] = content
        return {"sha256": digest, "size_bytes": len(content), "rows": X.shape[0], "columns": X.shape[1]}

    def give(self, model: str, X: NDArray[np.float64], **changes: Any) -> Given:
        """An assignment of `model` on all of X's columns, for the first worker; not sent yet."""
        assignment = str(uuid.uuid4())
        spec = {
            "assignment": assignment,
            "fence": 7,
            "model": model,
            "params": {},
            "seed": 0,
            "matrix": self.add_matrix(X),
            "features": list(range(X.shape[1])),
            "target": None,
            "limits": {"seconds": 60.0, "memory_bytes": 1 << 30},
            "heartbeat_seconds": 0.2,
        } | changes
        queue = next(iter(self.workers.values()))["queue"] if self.workers else ""
        self.given[assignment] = given = Given(spec=spec, queue=queue)
        return given

    def send(self, *all_given: Given) -> None:
        """Put the word of each assignment into its worker's list, as the real coordinator does."""
        assert self.redis is not None
        broker = f"redis://:{self.redis.password}@127.0.0.1:{self.redis.port}/0"
        # Not as the current one: that is computenet's, with which other tests of this process send.
        with Celery("sender", broker=broker, fixups=(), set_as_current=False) as app:
            for given in all_given:
                queue = Queue(given.queue, Exchange(""), routing_key=given.queue)
                assignment = given.spec["assignment"]
                given.sent_at = time.monotonic()
                app.send_task(TASK_NAME, [assignment], task_id=assignment, declare=(), queue=queue)

    # What the calls answer: (status, JSON)

    def enrol(self, body: dict[str, Any], worker: str | None) -> tuple[int, Any]:
        self.enrolments.append({**body, "as": worker})
        if body["protocol"] != self.protocol:
            return 409, {"error": "This network speaks protocol 1."}
        if worker is None:
            if body["enrolment_key"] not in self.keys:
                return 403, {"error": "This enrolment key is unknown or was used."}
            self.keys.remove(body["enrolment_key"])
            worker = str(uuid.uuid4())
            queue = queue_name(gpu_tag(body["device"]["gpu_type"]), worker)
            broker_url = self.redis.add_worker(worker, queue) if self.redis else "redis://127.0.0.1:1/0"
            self.workers[worker] = {
                "worker": worker,
                "worker_id": f"worker-{len(self.workers) + 1}",
                "secret": uuid.uuid4().hex,
                "queue": queue,
                "broker_url": broker_url,
                "heartbeat_seconds": 0.2,
            }
        return 200, self.workers[worker]

    def heartbeat(self, body: dict[str, Any]) -> tuple[int, Any]:
        self.heartbeats.append((time.monotonic(), body))
        for beat in body["assignments"]:
            if beat["assignment"] in self.given:
                self.given[beat["assignment"]].beats.append(beat)
        named = [beat["assignment"] for beat in body["assignments"]]
        cancel = [a for a in named if a in self.given and self.given[a].state == "dead"]
        offer = {"together": self.together} if self.together else {}
        return 200, {"cancel": cancel, "drain": self.drain, "heartbeat_seconds": 0.2} | offer

    def start_assignment(self, given: Given) -> tuple[int, Any]:
        given.starts += 1
        if given.state != "assigned":
            return 409, {"error": "This assignment was started already, or is dead."}
        given.state = "computing"
        return 200, given.spec

    def starts(self, body: dict[str, Any]) -> tuple[int, Any]:
        found = []
        for assignment in body["assignments"]:
            given = self.given.get(assignment)
            status, said = self.start_assignment(given) if given else (404, {"error": "No such assignment."})
            found.append({"status": status} | ({"specification": said} if status == 200 else said))
        return 200, {"assignments": found}

    def results(self, content: bytes) -> tuple[int, Any]:
        line, _, rest = content.partition(b"\n")
        found = []
        for note in json.loads(line)["answers"]:
            answer, rest = rest[: note["size_bytes"]], rest[note["size_bytes"] :]
            headers = {FENCE_HEADER: note["fence"], DIGEST_HEADER: note["sha256"], SECONDS_HEADER: note["seconds"]}
            status, said = self.result(self.given[note["assignment"]], answer, headers)
            found.append({"status": status} | said)
        assert not rest
        return 200, {"answers": found}

    def result(self, given: Given, content: bytes, headers: Any) -> tuple[int, Any]:
        given.puts += 1
        digest = hashlib.sha256(content).hexdigest()
        if int(headers[FENCE_HEADER]) != given.spec["fence"] or given.state in ("dead", "assigned"):
            return 410, {"error": "This assignment is dead."}
        if headers[DIGEST_HEADER] != digest:
            return 400, {"error": "The digest differs."}
        if given.digest and given.digest != digest:
            return 409, {"error": "Another answer came before."}
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            given.answer = dict(arrays)
        given.seconds = float(headers[SECONDS_HEADER])
        given.digest, given.state, given.answered_at = digest, "answered", time.monotonic()
        return 200, {}

    def failure(self, given: Given, body: dict[str, Any]) -> tuple[int, Any]:
        if body["fence"] != given.spec["fence"] or given.state != "computing":
            return 409, {"error": "This assignment is dead."}
        given.failure, given.state = body, "failed"
        return 200, {}


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 32

    def __init__(self, *arguments: Any) -> None:
        self.open: set[Any] = set()
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def cut(self) -> None:
        for request in list(self.open):
            with contextlib.suppress(OSError):
                request.shutdown(2)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is part of these tests."""


class Handler(BaseHTTPRequestHandler):
    owner: Coordinator
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # header and body in one packet

    def do_POST(self) -> None:
        self._answer("POST")

    do_PUT = do_GET = lambda self: self._answer(self.command)

    def _answer(self, method: str) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.owner.calls.append((method, self.path, self.headers.get("Range", "")))
        status = self.owner.trouble(method, self.path)
        if status is not None:
            self._send(status, {"error": f"Trouble on command ({status})."})
            return
        with self.owner.lock:
            worker = self._worker()
            if self.path == "/worker/enrol":
                self._send(*self.owner.enrol(json.loads(content), worker))
            elif self.path == "/health":
                self._send(200, {"status": "ok"})
            elif worker is None:
                self._send(401, {"error": "No worker has this secret."})
            elif self.path == "/worker/heartbeat":
                self._send(*self.owner.heartbeat(json.loads(content)))
            elif self.path.startswith("/assignments/") and not self.owner.together:
                self._send(404, {"error": "There is nothing at this address."})
            elif self.path == "/assignments/start":
                self._send(*self.owner.starts(json.loads(content)))
            elif self.path == "/assignments/results":
                self._send(*self.owner.results(content))
            elif self.path.startswith("/dataset/"):
                self._dataset(self.path.rsplit("/", 1)[1])
            else:
                _, _, assignment, call = self.path.split("/")
                given = self.owner.given.get(assignment)
                if given is None:
                    self._send(404, {"error": "No such assignment."})
                elif call == "start":
                    self._send(*self.owner.start_assignment(given))
                elif call == "result":
                    self._send(*self.owner.result(given, content, self.headers))
                else:
                    self._send(*self.owner.failure(given, json.loads(content)))

    def _worker(self) -> str | None:
        said = self.headers.get("Authorization", "").removeprefix("Worker ")
        worker, _, secret = said.partition(".")
        known = self.owner.workers.get(worker)
        return worker if known and known["secret"] == secret else None

    def _dataset(self, digest: str) -> None:
        content = self.owner.matrices.get(digest)
        if content is None:
            self._send(404, {"error": "No live assignment reads this dataset."})
            return
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        cut, self.owner.cut_dataset_after = self.owner.cut_dataset_after, None
        self.wfile.write(content[start:] if cut is None else content[start : start + cut])
        if cut is not None:
            self.close_connection = True

    def _send(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Quiet."""
