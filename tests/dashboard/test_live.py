"""Live pages: sockets, the renderings that they share, and the hints that move them. Redis is real."""

import asyncio
import gc
import os
import subprocess
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from django.contrib.auth.models import AnonymousUser
from django.db import transaction

from computenet.sandbox.embedded_redis import EmbeddedRedis
from marketplace import notifications
from marketplace.dashboard import consumers, live
from marketplace.dashboard.pages import Page
from marketplace.dashboard.routing import websocket
from tests.dashboard import cast
from tests.dashboard.sockets import Socket

HOME = "/live/home/"


@asynccontextmanager
async def a_socket(path: str = HOME):
    """A page's socket that has been sent the whole page once."""
    socket = Socket(websocket, path)
    assert await socket.open()
    try:
        yield socket, await socket.html()
    finally:
        await socket.close()


def play(scene: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(scene())


in_database = database_sync_to_async


def test_a_socket_is_sent_the_whole_page_and_then_what_changed(committed_db):
    async def scene() -> None:
        async with a_socket() as (socket, first):
            for name in ("figure-total_jobs", "coordination", "jobs", "workers", "clients", "feed", "attention"):
                assert f'id="{name}"' in first
            began = time.monotonic()
            await in_database(cast.a_client)("carol")
            news = await socket.html()
            assert time.monotonic() - began < 2.5
            assert 'data-client="carol"' in news
            assert 'id="coordination"' not in news

    play(scene)


def test_what_a_lost_hint_told_of_comes_with_the_next_refresh(committed_db, monkeypatch):
    monkeypatch.setattr(consumers, "REFRESH_SECONDS", 0.3)
    monkeypatch.setattr(notifications, "changed", lambda *topics: None)

    async def scene() -> None:
        async with a_socket() as (socket, _):
            await in_database(cast.a_client)("carol")
            assert 'data-client="carol"' in await socket.html()

    play(scene)


def test_a_job_page_follows_its_job(committed_db):
    cast.a_worker()
    job = cast.a_job(cast.a_client())

    async def scene() -> None:
        async with a_socket(f"/live/jobs/{job.pk}/") as (socket, first):
            assert 'data-state="pending"' in first
            await in_database(cast.coordination.trigger)(actor="tests")
            assert 'data-state="assigned"' in await socket.html()

    play(scene)


def test_many_sockets_share_one_rendering_a_second(committed_db, monkeypatch):
    renderings: list[frozenset[str]] = []
    real = Page.render

    def counted(page: Page, topics: Any) -> dict[str, str]:
        renderings.append(frozenset(topics))
        return real(page, topics)

    monkeypatch.setattr(Page, "render", counted)

    async def scene() -> None:
        sockets = [Socket(websocket, HOME) for _ in range(20)]
        await asyncio.gather(*(socket.open() for socket in sockets))
        await asyncio.gather(*(socket.html() for socket in sockets))
        began, first = time.monotonic(), len(renderings)
        for index in range(10):
            await in_database(cast.a_client)(f"client_{index}")
        for socket in sockets:
            html = ""
            while 'data-client="client_9"' not in html:
                html = await socket.html()
        assert len(renderings) - first <= time.monotonic() - began + 2
        assert first <= 2
        await asyncio.gather(*(socket.close() for socket in sockets))

    play(scene)
    gc.collect()
    assert not live._shared  # a page that nobody looks at is not rendered


def test_what_everybody_sees_is_rendered_once_for_all_of_them_and_what_is_private_for_each(
    committed_db, settings, monkeypatch
):
    users = [cast.a_user(f"user_{index}") for index in range(5)]
    for user in users:
        cast.a_client(f"of_{user.username}", user)
    settings.SANDBOX = False
    rendered: list[str] = []
    real = Page.render

    def counted(page: Page, topics: Any) -> dict[str, str]:
        fragments = real(page, topics)
        rendered.extend(fragments)
        return fragments

    monkeypatch.setattr(Page, "render", counted)
    kwargs: dict[str, Any] = {"url_route": {"kwargs": {}}}

    async def both_parts(socket: Socket) -> str:
        html = ""
        while "figure-total_jobs" not in html or 'id="clients"' not in html:
            html += await socket.html()
        return html

    async def scene() -> None:
        application = consumers.HomeConsumer.as_asgi()
        sockets = [Socket(application, HOME, user=user, **kwargs) for user in users]
        await asyncio.gather(*(socket.open() for socket in sockets))
        for index, html in enumerate(await asyncio.gather(*map(both_parts, sockets))):
            assert f"of_user_{index}" in html
            assert not any(f"of_user_{other}" in html for other in range(5) if other != index)
        assert rendered.count("clients") >= 5 and rendered.count("cards") <= 2
        await asyncio.gather(*(socket.close() for socket in sockets))

    play(scene)


def test_outside_the_sandbox_a_socket_needs_a_log_in_and_ones_own_job(committed_db, settings):
    alice, bob = cast.alice(), cast.bob()
    job = cast.a_job(cast.a_client("alices_lab", alice))
    settings.SANDBOX = False

    async def close_code(consumer: Any, user: Any, **kwargs: Any) -> int:
        socket = Socket(consumer.as_asgi(), HOME, user=user, url_route={"kwargs": kwargs})
        await socket.open()
        message = await socket.output()
        await socket.close()
        return message.get("code", 0) if message["type"] == "websocket.close" else 0

    async def scene() -> None:
        assert await close_code(consumers.HomeConsumer, AnonymousUser()) == consumers.CLOSE_FORBIDDEN
        assert await close_code(consumers.JobConsumer, bob, job_id=job.pk) == consumers.CLOSE_NOT_FOUND
        assert await close_code(consumers.JobConsumer, alice, job_id=job.pk) == 0

    play(scene)


def test_a_socket_ends_after_its_lifetime_so_that_rights_are_asked_anew(committed_db, monkeypatch):
    monkeypatch.setattr(consumers, "LIFETIME_SECONDS", 0.0)

    async def scene() -> None:
        socket = Socket(websocket, HOME)
        await socket.open()
        message = await socket.output()
        assert (message["type"], message["code"]) == ("websocket.close", consumers.CLOSE_RECONNECT)
        await socket.close()

    play(scene)


def test_there_is_nothing_at_other_addresses(committed_db):
    async def scene() -> None:
        assert not await Socket(websocket, "/live/moon/").open()

    play(scene)


# --- hints -------------------------------------------------------------------------------------------------------


async def hints(act: Callable[[], None], seconds: float) -> list[dict[str, Any]]:
    """The hints that arrive within `seconds` of `act`."""
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add(notifications.GROUP, channel)
    heard: list[dict[str, Any]] = []

    async def listen() -> None:
        while True:
            heard.append(await layer.receive(channel))

    listener = asyncio.create_task(listen())
    await sync_to_async(act, thread_sensitive=False)()
    await asyncio.sleep(seconds)
    listener.cancel()
    with suppress(asyncio.CancelledError):
        await listener
    return heard


@pytest.fixture
def quiet():
    """No hint is on its way from an earlier test."""
    time.sleep(notifications.PERIOD_SECONDS + 0.1)


def publish(*topics: str) -> None:
    notifications._publisher.add(topics)


def test_a_burst_is_few_hints_and_its_last_topic_is_not_lost(quiet):
    def burst() -> None:
        for _ in range(500):
            publish("jobs")
        publish("clients")

    heard = asyncio.run(hints(burst, 1.5))
    assert 1 <= len(heard) <= 2
    assert {topic for message in heard for topic in message["topics"]} == {"jobs", "clients"}


def test_nothing_is_told_of_what_was_rolled_back(committed_db, quiet):
    def rolled_back() -> None:
        with transaction.atomic():
            notifications.changed("jobs")
            transaction.set_rollback(True)
        with transaction.atomic():
            notifications.changed("network")
        transaction.get_connection().close()

    heard = asyncio.run(hints(rolled_back, 0.5))
    assert [message["topics"] for message in heard] == [["network"]]


def test_a_forked_process_publishes_too(quiet):
    publish("jobs")  # this process has its thread
    time.sleep(notifications.PERIOD_SECONDS + 0.1)

    def fork() -> None:
        if not (pid := os.fork()):
            publish("workers")
            time.sleep(0.5)
            os._exit(0)
        os.waitpid(pid, 0)

    heard = asyncio.run(hints(fork, 0.3))
    assert [message["topics"] for message in heard] == [["workers"]]


def test_without_redis_nothing_waits_or_fails_and_the_hint_comes_when_it_is_back(tmp_path, settings, caplog, quiet):
    redis = EmbeddedRedis.plan(tmp_path / "redis")
    backend = {**settings.CHANNEL_LAYERS["default"], "CONFIG": {"hosts": [redis.url], "prefix": "live"}}
    settings.CHANNEL_LAYERS = {"default": backend}
    began = time.monotonic()
    publish("jobs")
    assert time.monotonic() - began < 0.05
    time.sleep(2.5)  # two more tries
    assert len([record for record in caplog.records if record.name == notifications.logger.name]) == 1
    server = subprocess.Popen(redis.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        redis.wait_until_up()
        heard = asyncio.run(hints(lambda: None, 1.6))
    finally:
        server.terminate()
        server.wait()
    assert {"type": "pages.changed", "topics": ["jobs"]} in heard
