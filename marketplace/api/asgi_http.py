"""Django's ASGI handler over threads that are kept: a request takes one hop out of the event loop and one back."""

import asyncio
import os
import select
from collections.abc import Mapping
from contextlib import closing
from contextvars import copy_context
from typing import Any

from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.db import close_old_connections, connections
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

from marketplace.api.threads import KeptThreads

THREADS = 16  # requests that are answered at once; with kept connections, each has one to the database


class KeptThreadsHandler(ASGIHandler):
    """Runs a request from its first middleware to its answer in one thread, as under WSGI.

    All views are synchronous. Django's own way makes a thread for each request, and so a connection to the database or
    a turn in a pool of them, and hops between it and the event loop for each signal and each asynchronous middleware.
    It also leaves a chunked body without a length: Django and REST framework take a request without Content-Length for
    one without a body.
    """

    def __init__(self) -> None:
        super().__init__()
        self._threads = KeptThreads(THREADS)

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            body_file = await self.read_body(receive)
        except RequestAborted:
            return
        with closing(body_file):
            response = await self._in_thread(self._answer, scope, body_file)
            if response.streaming:
                await self._stream(response, receive, send)
            else:
                await self.send_response(response, send)

    async def _in_thread(self, work: Any, *arguments: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, copy_context().run, work, *arguments)

    def _answer(self, scope: Mapping[str, Any], body_file: Any) -> HttpResponseBase:
        response: Any
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=self.__class__, scope=scope)
        _close_cut()
        request, response = self.create_request(scope, body_file)
        if request is not None:
            response = self.get_response(request)
            response._handler_class = self.__class__
        if response.streaming:  # its blocks are read elsewhere, however slowly
            close_old_connections()
        else:
            response.close()
        return response

    async def _stream(self, response: Any, receive: Any, send: Any) -> None:
        """Send block after block, until the caller hangs up."""
        sending = asyncio.create_task(self.send_response(response, send))
        hanging_up = asyncio.create_task(self.listen_for_disconnect(receive))
        try:
            await asyncio.wait({sending, hanging_up}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()
            hanging_up.cancel()
            ended, _ = await asyncio.gather(sending, hanging_up, return_exceptions=True)
            await self._in_thread(response.close)
        if isinstance(ended, Exception):
            raise ended

    def create_request(self, scope: Mapping[str, Any], body_file: Any) -> Any:
        if not any(name == b"content-length" for name, _ in scope["headers"]):
            length = body_file.seek(0, os.SEEK_END)
            body_file.seek(0)
            scope = dict(scope) | {"headers": [*scope["headers"], (b"content-length", str(length).encode())]}
        return super().create_request(scope, body_file)


def _close_cut() -> None:
    """Close connections that PostgreSQL has ended meanwhile, by a restart: what an idle one has to read is its end.

    That is what Django's own health check asks the server for, before each request.
    """
    kept: Any
    for kept in connections.all(initialized_only=True):
        if kept.vendor != "postgresql" or kept.connection is None:
            continue
        if kept.connection.closed or _readable(kept.connection.fileno()):
            kept.close()
        else:
            kept.health_check_done = True


def _readable(file: int) -> bool:
    poll = select.poll()
    poll.register(file, select.POLLIN)
    return bool(poll.poll(0))
