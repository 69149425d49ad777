"""What a request costs beside its view: hops between the event loop and threads, connections to database and Redis."""

import asyncio
import select
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import SyncToAsync
from django.core.cache import caches
from django.db import connection, connections

from marketplace.api import asgi_http, threads
from marketplace.api.asgi_http import KeptThreadsHandler


def ask(handler: KeptThreadsHandler, path: str) -> int:
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


@pytest.fixture
def handler(committed_db: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeptThreadsHandler]:
    """One whose thread keeps its connection, as with `DATABASE_KEEP=1`."""
    monkeypatch.setattr(asgi_http, "THREADS", 1)
    database = connections.settings["default"]
    monkeypatch.setitem(database, "CONN_MAX_AGE", None)
    monkeypatch.setitem(database, "CONN_HEALTH_CHECKS", True)
    made = KeptThreadsHandler()
    yield made
    in_its_thread(made, connections.close_all)


def in_its_thread(handler: KeptThreadsHandler, work: Any) -> Any:
    return handler._threads.submit(work).result()


def test_a_request_is_answered_in_one_thread_without_a_way_back(
    handler: KeptThreadsHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    hops: list[Any] = []
    ours, asgirefs = KeptThreadsHandler._in_thread, SyncToAsync.__call__

    async def counted(self: Any, work: Any, *args: Any) -> Any:
        hops.append(work)
        return await ours(self, work, *args)

    async def counted_there(self: SyncToAsync, *args: Any, **kwargs: Any) -> Any:
        hops.append(self.func)
        return await asgirefs(self, *args, **kwargs)

    monkeypatch.setattr(KeptThreadsHandler, "_in_thread", counted)
    monkeypatch.setattr(SyncToAsync, "__call__", counted_there)
    assert ask(handler, "/health") == 200
    assert len(hops) == 1, hops


def test_threads_and_their_connections_to_the_database_are_kept(handler: KeptThreadsHandler) -> None:
    def kept() -> tuple[int, int]:
        return threading.get_ident(), id(connection.connection)

    assert ask(handler, "/health") == 200
    before = in_its_thread(handler, kept)
    assert ask(handler, "/health") == 200
    assert in_its_thread(handler, kept) == before


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite is in the process, and cuts nobody")
def test_a_request_after_the_server_cut_the_kept_connection_is_answered_and_others_do_not_ask_whether_it_did(
    handler: KeptThreadsHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(type(connections["default"]), "is_usable", lambda self: asked.append(self) or True)
    for _ in range(3):
        assert ask(handler, "/health") == 200
    assert not asked
    pid = in_its_thread(handler, lambda: connection.connection.info.backend_pid)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    in_its_thread(handler, lambda: select.select([connection.connection], [], [], 10))  # word of it is there
    assert ask(handler, "/health") == 200
    assert in_its_thread(handler, lambda: connection.connection.info.backend_pid) != pid


def test_threads_share_their_connections_to_the_cache() -> None:
    one = caches.create_connection("default")._cache
    assert one is caches.create_connection("default")._cache


def test_threads_are_as_few_as_are_needed_and_go_when_they_have_rested_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "IDLE_SECONDS", 0.05)
    kept, gate, both = threads.KeptThreads(2), threading.Event(), threading.Barrier(3)

    def work() -> threading.Thread:
        both.wait(10)
        gate.wait(10)
        return threading.current_thread()

    asked = [kept.submit(work) for _ in range(2)]
    both.wait(10)  # two run beside each other
    later = [kept.submit(threading.current_thread) for _ in range(8)]
    assert not any(each.done() for each in later), "the others wait"
    gate.set()
    used = {each.result(10) for each in [*asked, *later]}
    assert len(used) == 2
    for thread in used:
        thread.join(10)
    assert not any(thread.is_alive() for thread in used)
    assert kept.submit(threading.current_thread).result(10) not in used


def test_what_fails_in_a_kept_thread_fails_where_it_was_asked_for_and_the_thread_goes_on() -> None:
    kept = threads.KeptThreads(1)
    with pytest.raises(ZeroDivisionError):
        kept.submit(lambda: 1 / 0).result(10)
    assert kept.submit(lambda: 2).result(10) == 2


def test_a_thread_that_rests_keeps_nothing_of_what_it_did_last() -> None:
    class Answer:
        pass

    kept = threads.KeptThreads(1)
    for _ in range(2):  # its first, and one that it waited for
        answer = weakref.ref(kept.submit(Answer).result(10))
        until = time.monotonic() + 10
        while answer() is not None:
            assert time.monotonic() < until, "the thread keeps it"


def test_a_thread_that_cannot_be_started_is_not_counted_among_those_that_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    kept = threads.KeptThreads(1)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", full)
        with pytest.raises(RuntimeError):
            kept.submit(int)
    assert kept.submit(lambda: 2).result(10) == 2
