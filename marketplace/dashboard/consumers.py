"""The sockets of open pages. Each is sent the fragments that changed, as HTML which htmx swaps by id."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.http import Http404, QueryDict

from marketplace import notifications
from marketplace.dashboard.access import Viewer, viewer_of
from marketplace.dashboard.home import home_page
from marketplace.dashboard.job import job_page
from marketplace.dashboard.jobs import jobs_page
from marketplace.dashboard.live import SharedPage, shared
from marketplace.dashboard.machines import machines_page
from marketplace.dashboard.market import market_page
from marketplace.dashboard.pages import TOPICS, Page
from marketplace.dashboard.worker import worker_page

logger = logging.getLogger(__name__)

# What time alone changes (a worker gone silent, a fit's progress) comes with this; so does what a lost hint told of.
REFRESH_SECONDS = 5.0
# Then the browser connects again, and who it is and what it may see is asked anew.
LIFETIME_SECONDS = 600.0
CLOSE_NOT_FOUND, CLOSE_FORBIDDEN, CLOSE_ERROR, CLOSE_RECONNECT = 4404, 4403, 1011, 1012


class PageConsumer(AsyncWebsocketConsumer):
    """Follows one page: all of it on connecting, then whatever differs from what was last sent."""

    groups = [notifications.GROUP]

    def page(self, viewer: Viewer, **kwargs: Any) -> Page:
        raise NotImplementedError

    async def connect(self) -> None:
        self.parts: list[Part] = []
        self.follower: asyncio.Task[None] | None = None
        await self.accept()
        viewer = await database_sync_to_async(viewer_of)(self.scope["user"])
        if viewer is None:
            await self.close(CLOSE_FORBIDDEN)
            return
        page = self.page(viewer, **self.scope["url_route"]["kwargs"])
        self.parts = [Part(shared(part), self.send) for part in page.parts()]
        self.follower = asyncio.create_task(self.follow())

    async def disconnect(self, code: int) -> None:
        if self.follower is not None:
            self.follower.cancel()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """A page only listens; what it does goes by HTTP."""

    async def pages_changed(self, message: dict[str, Any]) -> None:
        """A hint. It is only noted here: handlers run one after another, and hints may come faster than renderings."""
        for part in self.parts:
            part.hint(set(message["topics"]))

    async def follow(self) -> None:
        followers = [asyncio.create_task(part.follow()) for part in self.parts]
        try:
            # None of them ends but by failing.
            lifetime = LIFETIME_SECONDS * random.uniform(0.8, 1.2)
            ended, _ = await asyncio.wait(followers, timeout=lifetime, return_when=asyncio.FIRST_EXCEPTION)
            for each in ended:
                each.result()
            await self.close(CLOSE_RECONNECT)
        except Http404:
            await self.close(CLOSE_NOT_FOUND)
        except Exception:
            logger.exception("A page could not be rendered for its socket.")
            await self.close(CLOSE_ERROR)
        finally:
            for each in followers:
                each.cancel()


class Part:
    """What one socket was sent of a part of its page, and what it has yet to be sent."""

    def __init__(self, shown: SharedPage, send: Callable[[str], Awaitable[None]]) -> None:
        self.shown, self.send = shown, send
        self.topics: set[str] = set(TOPICS)
        self.woken = asyncio.Event()
        self.sent: dict[str, str] = {}

    def hint(self, topics: set[str]) -> None:
        self.topics |= topics
        self.woken.set()

    async def follow(self) -> None:
        while True:
            topics, self.topics = self.topics, set()
            self.woken.clear()
            fragments = await self.shown.rendered(topics)
            news = {name: html for name, html in fragments.items() if self.sent.get(name) != html}
            if news:
                self.sent.update(news)
                await self.send("".join(news.values()))
            await self.wait_for_news()

    async def wait_for_news(self) -> None:
        try:
            async with asyncio.timeout(REFRESH_SECONDS):
                await self.woken.wait()
        except TimeoutError:
            self.topics = set(TOPICS)


class HomeConsumer(PageConsumer):
    def page(self, viewer: Viewer, **kwargs: Any) -> Page:
        return home_page(viewer)


class ListConsumer(PageConsumer):
    """A page whose address has a query: what is found and how it is sorted."""

    page_of: Callable[[Viewer, QueryDict], Page]

    def page(self, viewer: Viewer, **kwargs: Any) -> Page:
        return type(self).page_of(viewer, QueryDict(self.scope.get("query_string", b"")))


class JobsConsumer(ListConsumer):
    page_of = staticmethod(jobs_page)


class MarketConsumer(ListConsumer):
    page_of = staticmethod(market_page)


class JobConsumer(PageConsumer):
    def page(self, viewer: Viewer, **kwargs: Any) -> Page:
        return job_page(viewer, kwargs["job_id"])


class WorkerConsumer(PageConsumer):
    def page(self, viewer: Viewer, **kwargs: Any) -> Page:
        return worker_page(viewer, kwargs["name"])


class MachinesConsumer(PageConsumer):
    def page(self, viewer: Viewer, **kwargs: Any) -> Page:
        return machines_page(viewer)


class Nowhere(AsyncWebsocketConsumer):
    """Where there is no page to follow."""

    async def connect(self) -> None:
        await self.close()
