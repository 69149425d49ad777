"""HTTP: one session, a key in every call, repeats where they can do no harm, errors as this package's."""

import json
import random
import secrets
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from computenet_client.errors import NotAllowed, NotFound, Refused, Unreachable

CONNECT_SECONDS = 5.0
BLOCK_BYTES = 256 * 1024
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 5.0
LONGEST_THROTTLE_SECONDS = 130.0  # beyond `patience`, where the network says how long to wait
BUSY = {429, 502, 503, 504}
LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class _Bearer(requests.auth.AuthBase):
    """Sets the key; without one it still keeps `requests` from sending what a .netrc holds for the host."""

    def __init__(self, key: str | None) -> None:
        self.key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.key:
            request.headers["Authorization"] = f"Bearer {self.key}"
        return request


class Transport:
    """Calls one network.

    Args:
        url: the network's address, such as ``https://compute.example.org``.
        key: an API key, or None in a sandbox.
        timeout: seconds that one answer may take.
        patience: seconds for which calls that do no harm twice are repeated while the network is away or busy.
    """

    def __init__(self, url: str, key: str | None, *, timeout: float, patience: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Refused(f"The address {url!r} must begin with http:// or https:// and name a host.")
        if key and (not key.isascii() or not key.isprintable() or " " in key):
            raise Refused("The key holds characters that no key has; copy it again.")
        if key and parts.scheme == "http" and parts.hostname not in LOOPBACK:
            warnings.warn(f"The key goes to {url} without encryption; use https.", stacklevel=3)
        self.url, self.key = url.rstrip("/"), key
        self.timeout, self.patience = timeout, patience
        self._session = requests.Session()
        self._session.auth = _Bearer(key)
        self._session.headers["Accept"] = "application/json"
        self._session.headers["User-Agent"] = "computenet-client/0.1.0"

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        repeat: bool | None = None,
    ) -> dict[str, Any]:
        """The JSON object that the network answers. `repeat` says that a second such call does no harm.

        Raises:
            Refused, NotAllowed, NotFound: with the network's own sentence.
            Unreachable: no answer, or one that is no JSON object.
        """
        content = None if body is None else encoded(body)
        sent = {**(headers or {}), **({"Content-Type": "application/json"} if content is not None else {})}
        answer = self._send(method, path, method == "GET" if repeat is None else repeat, params, sent, content)
        return self._parsed(answer)

    def upload(self, path: str, filename: str, file: IO[bytes]) -> dict[str, Any]:
        """Send a file as the field `file` of a form, in blocks, never whole in memory."""
        form = Form(filename, file)
        return self._parsed(self._send("POST", path, True, None, {"Content-Type": form.content_type}, form))

    def ask(self, path: str, filename: str, file: IO[bytes], into: IO[bytes]) -> None:
        """Send a file like `upload`, where nothing is kept of it, and write the body of the answer into `into`."""
        form = Form(filename, file)
        headers = {"Content-Type": form.content_type, "Accept": "text/csv, application/json"}
        try:
            with self._send("POST", path, True, None, headers, form, stream=True) as answer:
                for block in answer.iter_content(BLOCK_BYTES):
                    into.write(block)
        except requests.RequestException as error:
            raise Unreachable(f"The answer from {self.url} broke off: try again.") from error

    def put(self, path: str, content: bytes) -> dict[str, Any]:
        """Send bytes to a place of their own, where the same bytes again do no harm."""
        return self._parsed(self._send("PUT", path, True, None, {"Content-Type": "application/octet-stream"}, content))

    def download(self, path: str, params: Mapping[str, Any], file: IO[bytes]) -> None:
        """Write the body of the answer into `file`, from its beginning."""
        deadline, pause = time.monotonic() + self.patience, FIRST_PAUSE_SECONDS
        while True:
            answer = self._send("GET", path, True, params, {"Accept": "*/*"}, None, stream=True)
            try:
                file.seek(0)
                file.truncate()
                for block in answer.iter_content(BLOCK_BYTES):
                    file.write(block)
                return
            except requests.RequestException as error:
                if time.monotonic() + pause > deadline:
                    raise Unreachable(f"The download from {self.url} broke off: try again.") from error
            finally:
                answer.close()
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _send(
        self,
        method: str,
        path: str,
        repeat: bool,
        params: Mapping[str, Any] | None,
        headers: Mapping[str, str],
        content: "bytes | Form | None",
        stream: bool = False,
    ) -> requests.Response:
        deadline, pause = time.monotonic() + self.patience, FIRST_PAUSE_SECONDS
        latest = deadline + LONGEST_THROTTLE_SECONDS
        while True:
            wait = pause * random.uniform(0.7, 1.3)
            try:
                answer = self._session.request(
                    method, self.url + path, params=params, headers=dict(headers), data=content, stream=stream,
                    timeout=(CONNECT_SECONDS, self.timeout), allow_redirects=method == "GET",
                )  # fmt: skip
            except requests.RequestException as error:
                harmless = repeat or _never_sent(error)
                if not harmless or time.monotonic() + wait > deadline:
                    raise Unreachable(self._silence(error, harmless)) from error
            else:
                if answer.ok:
                    return answer
                again = answer.status_code in BUSY and (repeat or answer.status_code == 429)
                asked = _retry_after(answer)
                if asked and answer.status_code == 429:  # the network says when: that is worth waiting for
                    deadline = min(deadline + asked, latest)
                wait = max(wait, asked)
                if not again or time.monotonic() + wait > deadline:
                    raise self._refusal(answer)
            time.sleep(wait)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _silence(self, error: requests.RequestException, harmless: bool) -> str:
        match error:
            case requests.exceptions.SSLError():
                return f"The certificate of {self.url} cannot be trusted: {str(error)[:200]}"
            case requests.exceptions.ConnectionError():
                reason = "it cannot be reached; is the address right, and is the network up?"
            case requests.exceptions.Timeout():
                reason = f"it took longer than {self.timeout:g} s."
            case _:
                reason = str(error)[:200]
        doubt = "" if harmless else " It may have been done all the same: look before you repeat it."
        return f"No answer from {self.url}: {reason}{doubt}"

    def _refusal(self, answer: requests.Response) -> Exception:
        status = answer.status_code
        found = _json(answer)
        sentence = str(found["error"]) if isinstance(found, dict) and found.get("error") else ""
        if status in (401, 403):
            advice = "" if self.key else " Make an API key on the network's page, then run `computenet login`."
            return NotAllowed((sentence or "This call needs a key.") + advice, status)
        if status == 404:
            return NotFound(sentence or f"There is nothing at {answer.url}: is this a computenet network?", status)
        if status < 500 and sentence:
            return Refused(sentence, status)
        if 300 <= status < 400:
            return Refused(f"{self.url} has moved to {answer.headers.get('Location', 'elsewhere')}.", status)
        return Unreachable(f"{self.url} answered {status}. {sentence or 'Its operator finds the reason in the log.'}")

    def _parsed(self, answer: requests.Response) -> dict[str, Any]:
        found = _json(answer)
        if not isinstance(found, dict):
            raise Unreachable(f"{self.url} answered no JSON object: is this the address of a computenet network?")
        return found


class Form:
    """A multipart form with one file, its length known, that can be sent again."""

    def __init__(self, filename: str, file: IO[bytes]) -> None:
        name = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in filename)
        boundary = secrets.token_hex(16)
        self.file = file
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()

    def __len__(self) -> int:
        return len(self._head) + self.file.seek(0, 2) + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        self.file.seek(0)
        while block := self.file.read(BLOCK_BYTES):
            yield block
        yield self._tail


def encoded(body: Mapping[str, Any]) -> bytes:
    """`body` as strict JSON, the same bytes for the same content.

    Raises:
        Refused: NaN, an infinity, or what JSON has no form for.
    """
    try:
        return json.dumps(body, allow_nan=False, sort_keys=True, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise Refused(f"The request cannot be written as JSON: {error}.") from None


def pages(transport: Transport, path: str, items: str, params: Mapping[str, Any], most: int) -> Iterable[Any]:
    """The first `most` items of a list that comes in pages."""
    found: list[Any] = []
    while len(found) < most:
        asked = {**params, "limit": min(1000, most - len(found)), "offset": len(found)}
        page = transport.call("GET", path, params=asked)[items]
        found += page
        if len(page) < asked["limit"]:
            break
    return found


def _never_sent(error: requests.RequestException) -> bool:
    """Was there no connection at all, so that nothing can have been done?"""
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(reason, NewConnectionError | ConnectTimeoutError)


def _json(answer: requests.Response) -> Any:
    try:
        return answer.json()
    except requests.exceptions.JSONDecodeError:
        return None


def _retry_after(answer: requests.Response) -> float:
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0
