"""What a request costs beside its view: hops between the event loop and threads, connections to Redis."""

import asyncio
from typing import Any

import pytest
from asgiref.sync import SyncToAsync
from django.core.cache import caches

from marketplace.api.asgi_http import OneThreadHandler

HOPS = 3  # Django's two signals around the request, and the request


def ask(handler: OneThreadHandler, path: str) -> int:
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
    }
    sent: list[dict[str, Any]] = []
    messages = [{"type": "http.request", "body": b""}]

    async def receive() -> dict[str, Any]:
        if not messages:
            await asyncio.Event().wait()  # nobody hangs up
        return messages.pop()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(handler(scope, receive, send))
    return sent[0]["status"]


def test_middleware_and_view_run_in_one_thread_without_a_way_back(
    committed_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hops: list[Any] = []
    real = SyncToAsync.__call__

    async def counted(self: SyncToAsync, *args: Any, **kwargs: Any) -> Any:
        hops.append(self.func)
        return await real(self, *args, **kwargs)

    monkeypatch.setattr(SyncToAsync, "__call__", counted)
    assert ask(OneThreadHandler(), "/health") == 200
    assert len(hops) <= HOPS, hops


def test_threads_share_their_connections_to_the_cache() -> None:
    one = caches.create_connection("default")._cache
    assert one is caches.create_connection("default")._cache
