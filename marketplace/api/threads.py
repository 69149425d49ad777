"""Threads that are kept for the next request, and what they keep with them: their connections to the database."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from django.db import connections

IDLE_SECONDS = 15.0  # after which a thread ends: PostgreSQL keeps some 10 MiB of plans for each connection

Task = tuple["Future[Any]", Callable[[], Any]]


class KeptThreads(Executor):
    """At most so many threads. The one that has rested shortest comes first, so that few stay while little is asked.

    None of them keeps the process from ending, as those of `concurrent.futures` do.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._count = 0
        self._resting: list[SimpleQueue[Task]] = []
        self._waiting: deque[Task] = deque()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        task: Task = (Future(), partial(fn, *args, **kwargs))
        with self._lock:
            if self._resting:
                self._resting.pop().put(task)
            elif self._count < self._most:
                threading.Thread(target=self._run, args=([task],), name="request", daemon=True).start()
                self._count += 1  # once it runs: where no more threads may be, that call alone fails
            else:
                self._waiting.append(task)
        return task[0]

    def _run(self, first: list[Task]) -> None:
        inbox: SimpleQueue[Task] = SimpleQueue()
        task: Task | None = first.pop()  # out of what the `Thread` holds on to
        try:
            while task is not None:
                _do(*task)
                task = None  # lest a thread that rests keeps the last request and its answer in memory
                task = self._next(inbox)
        finally:
            connections.close_all()

    def _next(self, inbox: "SimpleQueue[Task]") -> Task | None:
        """What to do now; None once there was nothing for long, and this thread is counted out."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._resting.append(inbox)
        try:
            return inbox.get(timeout=IDLE_SECONDS)
        except Empty:
            with self._lock:
                if inbox in self._resting:
                    self._resting.remove(inbox)
                    self._count -= 1
                    return None
            return inbox.get()  # it came at the last moment


def _do(future: "Future[Any]", work: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)
