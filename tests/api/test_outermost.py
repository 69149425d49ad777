"""What wraps every request: its id in the answer, and in the sandbox nobody from elsewhere."""

import asyncio
from typing import Any

import pytest

from marketplace.api.body_limit import BodyLimit
from marketplace.api.requests import LoopbackOnly, RequestIds

Messages = list[dict[str, Any]]


def ask(app: Any, kind: str = "http", client: str = "127.0.0.1", *headers: tuple[bytes, bytes]) -> Messages:
    sent: Messages = []
    scope = {
        "type": kind, "method": "POST", "path": "/job/submit", "client": (client, 5), "headers": list(headers),
        "query_string": b"", "scheme": "http",
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": f"{kind}.connect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent


async def answers(scope: Any, receive: Any, send: Any) -> None:
    seen = dict(scope["headers"])[b"x-request-id"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"seen", seen)]})


def ids(messages: Messages) -> tuple[bytes, bytes]:
    headers = dict(messages[0]["headers"])
    return headers[b"seen"], headers[b"x-request-id"]


def test_every_request_has_an_id_of_its_own_which_the_answer_says() -> None:
    first, second = ids(ask(RequestIds(answers))), ids(ask(RequestIds(answers)))
    assert first[0] == first[1] != second[0] == second[1]


def test_a_proxys_id_is_taken_and_what_could_forge_a_log_line_is_not() -> None:
    def sent(value: bytes) -> bytes:
        return ids(ask(RequestIds(answers), "http", "127.0.0.1", (b"x-request-id", value)))[1]

    assert sent(b"a1b2c3d4-proxy") == b"a1b2c3d4-proxy"
    for forged in (b"short", b"a" * 65, b"with a space", b"line\nbreak", b"\xff" * 20):
        assert sent(forged) != forged


def test_a_refusal_before_django_carries_the_id_too() -> None:
    messages = ask(RequestIds(BodyLimit(answers)), "http", "127.0.0.1", (b"content-length", b"9" * 15))
    assert messages[0]["status"] == 413 and b"x-request-id" in dict(messages[0]["headers"])


@pytest.mark.parametrize("client", ["192.168.1.7", "10.0.0.1", "8.8.8.8", "2001:db8::1"])
def test_the_sandbox_hears_nobody_from_another_machine(client: str) -> None:
    assert ask(LoopbackOnly(RequestIds(answers)), "http", client)[0]["status"] == 403
    assert ask(LoopbackOnly(RequestIds(answers)), "websocket", client) == [{"type": "websocket.close"}]


def test_the_sandbox_hears_its_own_machine() -> None:
    for client in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        assert ask(LoopbackOnly(RequestIds(answers)), "http", client)[0]["status"] == 200


def test_outside_the_sandbox_others_are_heard(settings: Any) -> None:
    settings.SANDBOX = False
    assert ask(LoopbackOnly(RequestIds(answers)), "http", "8.8.8.8")[0]["status"] == 200
