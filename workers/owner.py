"""The machine's owner comes first: standing aside while somebody else needs the GPU, or while it is too hot."""

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pynvml

from workers.catalog.backend import Backend
from workers.device import open_gpu
from workers.running import Board
from workers.settings import Settings

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
RETURN_SECONDS = 10.0  # without a reason, before work is taken again: a game that loads its next level is not over
COOLER_CELSIUS = 5.0  # below the limit, before work is taken again


class Owner(threading.Thread):
    """Looks every second whether this worker is to stand aside, and says so on the board.

    What is in hand then stops and is handed back, and the device's memory is given back: see `workers.tasks`.
    """

    def __init__(
        self, settings: Settings, board: Board, backend: Backend, changed: Callable[[], None] = lambda: None
    ) -> None:
        """`changed` is called when it begins or ends to stand aside."""
        super().__init__(name="owner", daemon=True)
        self._settings, self._board, self._backend, self._changed = settings, board, backend, changed
        self._gpu = None if backend.name == "numpy" else open_gpu(settings)
        self._ending = threading.Event()
        self._last_reason_at = -RETURN_SECONDS

    def run(self) -> None:
        if self._gpu is None:
            return  # the CPU is shared as the system shares it
        while not self._ending.wait(LOOK_SECONDS):
            try:
                self.look()
            except Exception:
                log.exception("Looking after the owner's GPU stumbled and goes on.")

    def close(self) -> None:
        self._ending.set()

    def look(self) -> None:
        """Look once, and stand aside or come back."""
        aside = self._board.aside
        reason = self._reason(bool(aside))
        if reason:
            self._last_reason_at = time.monotonic()
        if reason and not aside:
            log.warning("This worker stands aside: %s.", reason)
            self._board.stand_aside(reason)
            self._changed()
        elif aside and not reason and time.monotonic() - self._last_reason_at >= RETURN_SECONDS:
            log.info("This worker takes jobs again.")
            self._board.stand_aside("")
            self._changed()
        if self._board.aside and not self._board.beats():
            self._backend.free_memory()

    def _reason(self, aside: bool) -> str:
        """Why to stand aside, without names of the owner's programs; empty where nothing speaks for it."""
        if self._gpu is None:
            return ""
        try:
            if self._settings.stand_aside and any(not is_ours(process.pid) for process in self._processes()):
                return "another process uses the GPU"
            if limit := self._settings.max_temperature_celsius:
                found = float(pynvml.nvmlDeviceGetTemperature(self._gpu, pynvml.NVML_TEMPERATURE_GPU))
                if found > limit - (COOLER_CELSIUS if aside else 0.0):
                    return f"the GPU is at {found:.0f} °C, and its owner allows {limit:.0f}"
        except pynvml.NVMLError as problem:  # some GPUs do not tell
            log.debug("The GPU does not say: %s", problem)
        return ""

    def _processes(self) -> list[Any]:
        return list(pynvml.nvmlDeviceGetComputeRunningProcesses(self._gpu))


def is_ours(process: int) -> bool:
    """Is this process's id our own, or that of a child of ours?"""
    own = os.getpid()
    while process > 1:
        if process == own:
            return True
        try:
            process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return False
    return False
