"""The only file that publishes to Channels: small hints, after commit, that what pages show has changed."""

import asyncio
import logging
import os
import threading
import time

from channels.layers import get_channel_layer
from django.db import transaction

GROUP = "pages"
PERIOD_SECONDS = 1.0  # at most one hint a process in this time; the last one of a burst is never lost
SEND_TIMEOUT_SECONDS = 2.0

logger = logging.getLogger(__name__)


def changed(*topics: str) -> None:
    """Tell open pages, once the current transaction is committed, that `topics` are not what they were.

    A topic is "jobs", "workers", "clients" or "network". Costs the caller no network call, and never raises.
    """
    transaction.on_commit(lambda: _publisher.add(topics), robust=True)


class Publisher:
    """Gathers topics and sends them from a thread of its own, which keeps one connection to Redis.

    (`async_to_sync(group_send)` would open a connection at each call, in the request.) While Redis is away topics are
    kept and tried again; pages re-read by themselves too, so a lost hint delays a page by seconds and harms nothing.
    """

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._waiting: set[str] = set()
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()

    def add(self, topics: tuple[str, ...]) -> None:
        if self._pid != os.getpid():  # threads and their locks do not survive a fork
            self._forget()
        with self._condition:
            self._waiting.update(topics)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="notifications", daemon=True)
                self._thread.start()
            self._condition.notify()

    def _run(self) -> None:
        asyncio.set_event_loop(loop := asyncio.new_event_loop())
        failing = False
        while True:
            topics = self._take()
            try:
                loop.run_until_complete(self._send(topics))
                failing = False
            except Exception as error:
                with self._condition:
                    self._waiting.update(topics)
                if not failing:
                    logger.warning("Pages are not told of changes until Redis answers again: %s", error)
                failing = True
            time.sleep(PERIOD_SECONDS)

    def _take(self) -> set[str]:
        with self._condition:
            self._condition.wait_for(lambda: self._waiting)
            topics, self._waiting = self._waiting, set()
            return topics

    async def _send(self, topics: set[str]) -> None:
        message = {"type": "pages.changed", "topics": sorted(topics)}
        async with asyncio.timeout(SEND_TIMEOUT_SECONDS):
            await get_channel_layer().group_send(GROUP, message)


_publisher = Publisher()
