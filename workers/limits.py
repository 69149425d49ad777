"""Holding a fit to its assignment's time and memory, whether or not it reports progress.

One thread watches all fits of a process. It raises `OutOfTime` or `OutOfMemory` inside the thread that computes, which
stops it at its next line of Python. Inside one long native call nothing of Python runs: where the call does not return
within `GRACE_SECONDS`, the assignment is given up; a pool's child process is then killed, and the pool makes another.
(A thread cannot be killed. Its slot comes back when the call returns; until then the answer, if one comes, is dropped.)

Memory is what the process has taken for itself since the fits that run began, read from the kernel. An address-space
limit (RLIMIT_AS) would be simpler and wrong: CUDA reserves more addresses than the machine has memory.
"""

import ctypes
import logging
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import ClassVar

from billiard.process import current_process

from workers.catalog.base import Cancelled
from workers.running import GRACE_SECONDS, HandedBack, OutOfTime

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.1
AGAIN_SECONDS = 1.0  # between two tries to stop a fit that went on regardless
SLACK_BYTES = 512 * 1024**2  # what libraries take for themselves when they are first used


class OutOfMemory(Cancelled):
    """Stops a fit that takes more memory than its assignment allows."""


def own_memory_bytes() -> int:
    """What this process holds in memory of its own, without files that it maps; 0 where the kernel does not say."""
    try:
        found = re.search(r"^RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def available_memory_bytes() -> int | None:
    """What this host, and the container that it may be, have free in main memory; None where nothing says."""
    found = []
    try:
        text = Path("/proc/meminfo").read_text()
        if match := re.search(r"^MemAvailable:\s+(\d+) kB", text, re.MULTILINE):
            found.append(int(match[1]) * 1024)
        group = Path("/sys/fs/cgroup")
        most = (group / "memory.max").read_text().strip()
        if most.isdigit():
            found.append(max(int(most) - int((group / "memory.current").read_text()), 0))
    except (OSError, ValueError):
        pass
    return min(found, default=None)


class Limits:
    """Holds what runs in its `with` block to `seconds` and `memory_bytes`.

    Where `wanted` turns false, the machine's owner needs it: `HandedBack` is raised there.
    `give_up` is called once, from another thread, where the block did not stop in time.
    """

    _lock: ClassVar[threading.Lock] = threading.Lock()
    _running: ClassVar[dict[int, "Limits"]] = {}  # by thread
    _before: ClassVar[int] = 0  # bytes that the process held when the first of them began
    _watcher: ClassVar[threading.Thread | None] = None

    def __init__(
        self, seconds: float, memory_bytes: int, give_up: Callable[[], None], wanted: Callable[[], bool] = lambda: True
    ) -> None:
        self._ends_at = time.monotonic() + seconds
        self._memory_bytes = memory_bytes
        self._give_up = give_up
        self._wanted = wanted
        self._thread = threading.get_ident()
        self._next_try = 0.0
        self.gave_up = False

    def __enter__(self) -> "Limits":
        with Limits._lock:
            if Limits._watcher is None or not Limits._watcher.is_alive():  # a forked child has its parent's, dead
                Limits._watcher = threading.Thread(target=_watch, name="limits", daemon=True)
                Limits._watcher.start()
            if not Limits._running:
                Limits._before = own_memory_bytes()
            Limits._running[self._thread] = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._end()
        except Cancelled:  # it arrived only now; the next try is a second away
            self._end()
            raise

    def _end(self) -> None:
        with Limits._lock:
            Limits._running.pop(self._thread, None)
            _raise_in(self._thread, None)  # what was raised and has not arrived shall not arrive later

    @property
    def _runs(self) -> bool:
        return Limits._running.get(self._thread) is self

    def _look(self, out_of_memory: bool) -> None:
        """Stop it where it broke a limit; all fits that run are `out_of_memory` together."""
        now = time.monotonic()
        reason = self._broken(now, out_of_memory)
        if reason is not None and now >= self._next_try:
            self._next_try = now + AGAIN_SECONDS
            with Limits._lock:
                if self._runs:
                    _raise_in(self._thread, reason)
        if now > self._ends_at + GRACE_SECONDS and self._runs and not self.gave_up:
            self.gave_up = True
            self._give_up()

    def _broken(self, now: float, out_of_memory: bool) -> type[Cancelled] | None:
        if now > self._ends_at:
            return OutOfTime
        if not self._wanted():
            return HandedBack
        return OutOfMemory if out_of_memory else None


def _watch() -> None:
    """Look after all fits of this process, until there are none: most end before the first look."""
    while True:
        time.sleep(LOOK_SECONDS)
        with Limits._lock:
            running = list(Limits._running.values())
            if not running:
                Limits._watcher = None
                return
            out_of_memory = _out_of_memory(running)
        for each in running:
            try:
                each._look(out_of_memory)
            except Exception:
                log.exception("A fit could not be looked after.")


def _out_of_memory(running: list[Limits]) -> bool:
    """Asked under the lock: what a fit held must not be held against others once its allowance is gone."""
    try:
        return own_memory_bytes() - Limits._before > sum(each._memory_bytes for each in running) + SLACK_BYTES
    except Exception:
        log.exception("The memory of this process could not be read.")
        return False


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    """Have `kind` raised in another thread at its next line of Python; None takes back what was not raised yet."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(kind) if kind else None)


def kill_if_child() -> None:
    """End this process at once if it is a pool's child, which its pool replaces; else let it be."""
    if current_process().name != "MainProcess":
        log.critical("This process is stuck in a computation past its time and is killed.")
        os.kill(os.getpid(), signal.SIGKILL)
