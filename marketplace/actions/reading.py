"""Reading what takes minutes: how much of it at a time, and what of it is announced again."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from marketplace import broker

READERS = 2  # of one process
QUEUE = "reading"

_free = threading.BoundedSemaphore(READERS)


@contextmanager
def place() -> Iterator[bool]:
    """Whether this process may read one thing more; the place is taken until the end.

    Where it does everything, as in the sandbox, it so has threads left for everything else.
    """
    taken = _free.acquire(blocking=False)
    try:
        yield taken
    finally:
        if taken:
            _free.release()


def unannounced(waiting: list[Any]) -> list[Any]:
    """Of what waits, the first, as many as there are more than messages: what still waits in its queue is not lost.

    Else every cycle would announce anew what readers are too busy for.
    """
    return waiting[: max(0, len(waiting) - broker.waiting(QUEUE))] if waiting else []
