"""Renderings that sockets share: a part of a page is rendered at most once a second a process, for all who look.

What only some see is rendered for each of them by itself, up to a second later and at random: a change that touches
many such parts does not have them all rendered at once.
"""

import asyncio
import random
from collections.abc import Set
from weakref import WeakValueDictionary

from channels.db import database_sync_to_async

from marketplace.dashboard.pages import Page

PERIOD_SECONDS = 1.0
JITTER_SECONDS = 1.0


class SharedPage:
    """A page that one or more sockets of this process follow."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._topics: set[str] = set()
        self._next: asyncio.Task[dict[str, str]] | None = None
        self._began_at = float("-inf")

    async def rendered(self, topics: Set[str]) -> dict[str, str]:
        """A rendering, for `topics` at least, that begins after this call: it has all that was committed before."""
        if not self.page.changed_by(topics):
            return {}
        self._topics |= topics
        if self._next is None:
            self._next = asyncio.create_task(self._render())
        # One socket that goes must not take the rendering from the others.
        return await asyncio.shield(self._next)

    async def _render(self) -> dict[str, str]:
        loop = asyncio.get_running_loop()
        jitter = random.uniform(0, JITTER_SECONDS) if self.page.private and self._began_at > 0 else 0.0
        await asyncio.sleep(self._began_at + PERIOD_SECONDS + jitter - loop.time())
        self._began_at = loop.time()
        topics, self._topics, self._next = self._topics, set(), None
        return await database_sync_to_async(self.page.render)(topics)


_shared: WeakValueDictionary[str, SharedPage] = WeakValueDictionary()


def shared(page: Page) -> SharedPage:
    """The one of this page's key; it lives as long as a socket holds it."""
    return _shared.setdefault(page.key, SharedPage(page))
