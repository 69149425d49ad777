"""The sockets of open pages. Each is sent the fragments that changed, as HTML which htmx swaps by id."""

import asyncio
import logging
import random
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.http import Http404

from marketplace import notifications
from marketplace.dashboard.access import Viewer, viewer_of
from marketplace.dashboard.home import home_page
from marketplace.dashboard.job import job_page
from marketplace.dashboard.live import SharedPage, shared
from marketplace.dashboard.machines import machines_page
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
        self.topics: set[str] = set(TOPICS)
        self.woken = asyncio.Event()
        self.follower: asyncio.Task[None] | None = None
        await self.accept()
        viewer = await database_sync_to_async(viewer_of)(self.scope["user"])
        if viewer is None:
            await self.close(CLOSE_FORBIDDEN)
            return
        page = shared(self.page(viewer, **self.scope["url_route"]["kwargs"]))
        self.follower = asyncio.create_task(self.follow(page))

    async def disconnect(self, code: int) -> None:
        if self.follower is not None:
            self.follower.cancel()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """A page only listens; what it does goes by HTTP."""

    async def pages_changed(self, message: dict[str, Any]) -> None:
        """A hint. It is only noted here: handlers run one after another, and hints may come faster than renderings."""
        self.topics.update(message["topics"])
        self.woken.set()

    async def follow(self, page: SharedPage) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + LIFETIME_SECONDS * random.uniform(0.8, 1.2)
        sent: dict[str, str] = {}
        try:
            while loop.time() < until:
                topics, self.topics = self.topics, set()
                self.woken.clear()
                fragments = await page.rendered(topics)
                news = {name: html for name, html in fragments.items() if sent.get(name) != html}
                if news:
                    sent.update(news)
                    await self.send("".join(news.values()))
                await self.wait_for_news()
            await self.close(CLOSE_RECONNECT)
        except Http404:
            await self.close(CLOSE_NOT_FOUND)
        except Exception:
            logger.exception("A page could not be rendered for its socket.")
            await self.close(CLOSE_ERROR)

    async def wait_for_news(self) -> None:
        try:
            async with asyncio.timeout(REFRESH_SECONDS):
                await self.woken.wait()
        except TimeoutError:
            self.topics = set(TOPICS)


class HomeConsumer(PageConsumer):
    def page(self, viewer: Viewer, **kwargs: Any) -> Page:
        return home_page(viewer)


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
