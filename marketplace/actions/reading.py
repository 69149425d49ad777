"""What takes minutes to read, files and matrices: who is at it, how much at a time, and what is announced again.

Their rows have `lease_expires_at`, `tries` and `changed_at`.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, Q, QuerySet

from marketplace import broker
from marketplace.models import database_now

READERS = 2  # of one process
QUEUE = "reading"
MAX_TRIES = 3
LEASE_SECONDS = 600.0  # of who is at one, renewed while it gets on
RESEND_SECONDS = 10.0
SWEEP = 100

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


def claim(row: QuerySet[Any]) -> bool:
    """Have a row under a lease, and count as one of its tries; False where another has it."""
    free = Q(lease_expires_at=None) | Q(lease_expires_at__lt=database_now())
    return bool(row.filter(free).update(lease_expires_at=lease(), tries=F("tries") + 1))


def lease() -> datetime:
    """When a lease runs out that is given or renewed now."""
    return database_now() + timedelta(seconds=LEASE_SECONDS)


def lost(waiting: QuerySet[Any]) -> list[Any]:
    """Those of the rows `waiting` whose message or reader was lost, by their keys, the oldest first.

    No more of them than there are beside the messages: what still waits in its queue is not lost, and every cycle
    would announce anew what readers are too busy for.
    """
    rows = unheard(waiting, database_now()).order_by("changed_at")
    found = list(rows.values_list("pk", flat=True)[:SWEEP])
    return found[: max(0, len(found) - broker.waiting(QUEUE))] if found else []


def unheard(waiting: QuerySet[Any], now: datetime) -> QuerySet[Any]:
    """Those of the rows `waiting` that nobody is at, and that were announced a while ago."""
    unsent = Q(lease_expires_at=None, changed_at__lt=now - timedelta(seconds=RESEND_SECONDS))
    return waiting.filter(unsent | Q(lease_expires_at__lt=now))
