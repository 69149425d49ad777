"""How many large things one process reads at a time, so that it always has a thread left for everything else."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

READERS = 2

_free = threading.BoundedSemaphore(READERS)


@contextmanager
def place() -> Iterator[bool]:
    """Whether there is one more place to read at in this process; it is taken until the end."""
    taken = _free.acquire(blocking=False)
    try:
        yield taken
    finally:
        if taken:
            _free.release()
