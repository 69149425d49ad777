"""Taking together what is called for again and again: under load, a call does what many ask for.

In a process one thread is at work. Who calls meanwhile leaves it to that thread to look once more, and it rests between
two looks for longer than a look took, so that what there is to do gathers. A first call waits for nothing.
"""

import threading
import time
from collections.abc import Callable

RESTS = 3  # times as long as it was at work
LONGEST_SECONDS = 0.1


class Turns:
    """The turns of one kind of work in this process."""

    def __init__(self) -> None:
        self._at_work, self._called = threading.Lock(), threading.Event()
        self._rested_at = 0.0  # monotonic, seconds

    def take(self, work: Callable[[], int]) -> int:
        """Have `work` begin anew after this call, here or in the thread at it. Answers the sum of what it did.

        Where it fails, what was called for meanwhile is done before the error is raised: nobody else would.
        """
        done, failure = 0, None
        self._called.set()
        while self._called.is_set() and self._at_work.acquire(blocking=False):
            try:
                time.sleep(max(0.0, self._rested_at - time.monotonic()))
                self._called.clear()
                began = time.monotonic()
                try:
                    done += work()
                except Exception as error:
                    failure = error
                finally:
                    ended = time.monotonic()
                    self._rested_at = ended + min(RESTS * (ended - began), LONGEST_SECONDS)
            finally:
                self._at_work.release()
        if failure is not None:
            raise failure
        return done
