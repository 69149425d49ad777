"""HTTP to the coordinator: one kept connection for each thread, timeouts on everything, no redirects."""

import json
import os
import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import IO, Any

import requests

from workers.protocol import PROTOCOL_HEADER, PROTOCOL_VERSION

JSON_LIMIT_BYTES = 1_000_000
CONNECT_SECONDS = 5.0
STREAM = {"Content-Type": "application/octet-stream"}
RETRIED_STATUS = frozenset({408, 425, 429})  # of a proxy's making: they say nothing of the request itself


class Refused(Exception):
    """The coordinator said no (4xx), or what answers is not a coordinator. Trying again would not help."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class Unavailable(Exception):
    """Nothing answers, or with 5xx. Trying again may help. The message is one sentence."""


class Client:
    """The coordinator at `url`, asked as whom `authorization` names.

    Safe to use from any thread and after a fork: each thread of each process has a connection of its own.
    """

    def __init__(self, url: str, *, ca_file: str = "", authorization: str = "") -> None:
        self.url = url
        self._verify: str | bool = ca_file or True
        self._authorization = authorization
        self._local = threading.local()

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Put the worker's secret on `request`. As a session's `auth`, it also keeps a ``.netrc`` from replacing it."""
        if self._authorization:
            request.headers["Authorization"] = self._authorization
        return request

    def json(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | bytes,
        *,
        seconds: float = 10.0,
        persist_seconds: float = 0.0,
        stopped: Callable[[], bool] = lambda: False,
        limit_bytes: int = JSON_LIMIT_BYTES,
    ) -> dict[str, Any]:
        """Send `body`, as JSON but for bytes, and read a JSON object of at most `limit_bytes` back.

        Waits `seconds` for an answer, and tries again on 5xx and lost connections until `persist_seconds` have
        passed or `stopped` says so.

        Raises:
            Refused, Unavailable
        """
        sent: dict[str, Any] = {"data": body, "headers": STREAM} if isinstance(body, bytes) else {"json": body}
        ends_at = time.monotonic() + persist_seconds
        pause = 0.1
        while True:
            try:
                with self.open(method, path, **sent, seconds=seconds) as response:
                    return self._object(response, limit_bytes)
            except Unavailable:
                if stopped() or time.monotonic() + pause > ends_at:
                    raise
                time.sleep(pause * random.uniform(0.75, 1.25))
                pause = min(pause * 2, 5.0)

    def put(self, path: str, body: IO[bytes], headers: Mapping[str, str], *, seconds: float = 60.0) -> None:
        """Send a file once.

        Raises:
            Refused, Unavailable
        """
        self.open("PUT", path, data=body, headers={**STREAM, **headers}, seconds=seconds, read=True).close()

    def open(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, Any] | None = None,
        data: IO[bytes] | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float,
        read: bool = False,
    ) -> requests.Response:
        """Send one request once; the body of the answer is still to be read, unless `read`.

        Raises:
            Refused: 3xx and 4xx.
            Unavailable: 5xx and lost connections.
        """
        try:
            response = self._session().request(
                method,
                self.url + path,
                json=json,
                data=data,
                headers=dict(headers or {}),
                timeout=(min(CONNECT_SECONDS, seconds), seconds),
                allow_redirects=False,
                stream=True,
                verify=self._verify,  # given here, because REQUESTS_CA_BUNDLE would win over the session's
            )
            if response.status_code < 300:
                if read:
                    _ = response.content  # read to its end, so that the connection can be used again
                return response
            with response:
                sentence = self._sentence(response)
        except requests.exceptions.SSLError as problem:
            cause = _cause(problem)
            off = " Is this machine's clock right?" if "not yet valid" in cause or "expired" in cause else ""
            raise Unavailable(f"The certificate of {self.url} is not trusted ({cause}).{off}") from problem
        except requests.RequestException as problem:
            raise Unavailable(f"{self.url} does not answer ({_cause(problem)}).") from problem
        if response.status_code >= 500 or response.status_code in RETRIED_STATUS:
            raise Unavailable(f"{self.url} answers with an error ({response.status_code}): {sentence}")
        raise Refused(response.status_code, sentence)

    def _session(self) -> requests.Session:
        if getattr(self._local, "process", None) != os.getpid():
            session = requests.Session()
            session.auth = self
            session.headers.update({"User-Agent": "computenet-worker", "Accept-Encoding": "identity"})
            session.headers[PROTOCOL_HEADER] = str(PROTOCOL_VERSION)
            self._local.session = session
            self._local.process = os.getpid()
        kept: requests.Session = self._local.session
        return kept

    def _object(self, response: requests.Response, limit_bytes: int) -> dict[str, Any]:
        try:
            content = _limited(response, limit_bytes)
            answer = json.loads(content)
        except requests.RequestException as problem:
            raise Unavailable(f"{self.url} broke off its answer ({_cause(problem)}).") from problem
        except ValueError as problem:
            raise Refused(response.status_code, f"What answers at {self.url} is not a coordinator.") from problem
        if not isinstance(answer, dict):
            raise Refused(response.status_code, f"What answers at {self.url} is not a coordinator.")
        return answer

    def _sentence(self, response: requests.Response) -> str:
        """What a refusal says, cleaned for a terminal."""
        try:
            answer = json.loads(_limited(response))
            said = str(answer["error"])
        except (ValueError, TypeError, KeyError):
            said = f"{response.status_code} {response.reason}"
            if 300 <= response.status_code < 400:
                said = f"it sends callers on to {response.headers.get('Location', 'another address')}"
        return clean_line(said)


def clean_line(said: str) -> str:
    """What came from outside, as one line for a log or a terminal."""
    return re.sub(r"[^\x20-\x7e\xa0-\uffff]+", " ", said)[:300].strip()


def _limited(response: requests.Response, limit_bytes: int = JSON_LIMIT_BYTES) -> bytes:
    content = bytearray()
    for block in response.iter_content(65_536):
        content += block
        if len(content) > limit_bytes:
            raise ValueError("the answer is too long")
    return bytes(content)


def _cause(problem: BaseException) -> str:
    """The innermost reason of a `requests` exception, in a few words."""
    seen = 0
    while seen < 10:
        inner = problem.__cause__ or problem.__context__ or getattr(problem, "reason", None)
        if not isinstance(inner, BaseException):
            break
        problem, seen = inner, seen + 1
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror
    return str(problem)[:200] or type(problem).__name__
