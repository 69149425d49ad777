"""What this host computes now, kept as files so that a pool's child processes and the heartbeat both see it.

The computing side writes ``<assignment>.json`` and looks for ``<assignment>.cancel``; the heartbeat reads the first
and writes the second. The files work alike for the pools threads, solo and prefork, forked or spawned.
"""

import contextlib
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workers.catalog.base import Cancelled
from workers.protocol import Beat

UPDATE_SECONDS = 0.1
GRACE_SECONDS = 10.0  # past its limit a fit may still be inside one long NumPy call
_ASSIGNMENT = re.compile(r"[A-Za-z0-9-]{1,64}")


class OutOfTime(Cancelled):
    """Raised by a `Progress` callback to stop a fit that took longer than its assignment allows."""


class HandedBack(Cancelled):
    """Stops a fit whose machine's owner needs it; others get the job."""


def usable_id(assignment: object) -> bool:
    """Is this an assignment's id that may become part of a path?"""
    return isinstance(assignment, str) and _ASSIGNMENT.fullmatch(assignment) is not None


class InHand:
    """One assignment being computed: the `Progress` callback of its fit."""

    def __init__(self, board: "Board", assignment: str, fence: int, seconds: float) -> None:
        self._file = board.folder / f"{assignment}.json"
        self._cancel = board.folder / f"{assignment}.cancel"
        self._aside = board.folder / "aside"
        self._assignment, self._fence = assignment, fence
        self._looked_at = 0.0
        self.allow(seconds, "computing")

    def __call__(self, fraction: float, note: str) -> None:
        now = time.monotonic()
        if now - self._looked_at < UPDATE_SECONDS:
            return
        self.stop_if_dead()
        self._looked_at = now
        if now - self._written_at >= UPDATE_SECONDS:  # a fit that ends at once is not worth a second file
            self._write(float(fraction) if 0.0 <= fraction <= 1.0 else float(fraction > 1.0), str(note)[:200])

    @property
    def seconds_left(self) -> float:
        return self._ends_at - time.monotonic()

    def allow(self, seconds: float, note: str) -> None:
        """Give what begins now, which `note` names, this long."""
        self._ends_at = time.monotonic() + seconds
        self._write(0.0, note)

    def stop_if_dead(self) -> None:
        """
        Raises:
            Cancelled: the coordinator has no use for the answer any more.
            OutOfTime: the assignment's time is up.
            HandedBack: this machine stands aside for its owner.
        """
        if self._aside.exists():
            raise HandedBack(f"assignment {self._assignment} is handed back")
        if self._cancel.exists():
            raise Cancelled(f"assignment {self._assignment} was cancelled")
        if time.monotonic() > self._ends_at:
            raise OutOfTime(f"assignment {self._assignment} is out of time")

    def close(self) -> None:
        self._file.unlink(missing_ok=True)
        self._cancel.unlink(missing_ok=True)

    def _write(self, progress: float, note: str) -> None:
        entry = {
            "assignment": self._assignment,
            "fence": self._fence,
            "progress": progress,
            "note": note,
            "process": os.getpid(),
            "ends_at": self._ends_at,
        }
        temporary = self._file.with_suffix(".tmp")
        temporary.write_bytes(json.dumps(entry).encode())
        os.replace(temporary, self._file)
        self._written_at = time.monotonic()


class Board:
    """All assignments in hand, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._drain = folder / "drain"
        self._aside = folder / "aside"

    def clear(self) -> None:
        """Forget all that an earlier process left."""
        for file in self.folder.iterdir():
            file.unlink(missing_ok=True)

    def take(self, assignment: str, fence: int, seconds: float) -> InHand:
        return InHand(self, assignment, fence, seconds)

    def holds(self, assignment: str) -> bool:
        return (self.folder / f"{assignment}.json").exists()

    def cancel(self, assignment: str) -> bool:
        """Stop computing `assignment` at its next report of progress; False where it is not in hand."""
        in_hand = self.holds(assignment)
        if in_hand:
            (self.folder / f"{assignment}.cancel").touch()
        return in_hand

    @property
    def draining(self) -> bool:
        return self._drain.exists()

    def drain(self, on: bool) -> None:
        """Take nothing new while `on`."""
        if on:
            self._drain.touch()
        else:
            self._drain.unlink(missing_ok=True)

    @property
    def aside(self) -> str:
        """Why this machine stands aside for its owner; empty where it does not."""
        try:
            return self._aside.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def stand_aside(self, reason: str) -> None:
        """Hand back what is in hand and take nothing new, until `reason` is empty."""
        if reason:
            temporary = self._aside.with_suffix(".tmp")
            temporary.write_text(reason[:200], encoding="utf-8")
            os.replace(temporary, self._aside)
        else:
            self._aside.unlink(missing_ok=True)

    def beats(self) -> list[Beat]:
        """What a heartbeat says of everything in hand, but for what is long past its time: its lease shall lapse."""
        return [
            Beat(assignment=entry["assignment"], fence=entry["fence"], progress=entry["progress"], note=entry["note"])
            for entry in self._entries()
            if time.monotonic() <= entry["ends_at"] + GRACE_SECONDS
        ]

    def lost(self, alive: Callable[[int], bool]) -> list[tuple[str, int]]:
        """Forget what nobody computes any more, and name it: assignments and fences.

        `alive` says of a process's id whether it still runs. (Celery does not know: of two messages for one
        assignment, both have one id, and the end of the second reads like the end of both.)
        """
        lost = [entry for entry in self._entries() if not alive(entry["process"])]
        for entry in lost:
            (self.folder / f"{entry['assignment']}.json").unlink(missing_ok=True)
        return [(entry["assignment"], entry["fence"]) for entry in lost]

    def _entries(self) -> list[dict[str, Any]]:
        entries = []
        for file in self.folder.glob("*.json"):
            with contextlib.suppress(FileNotFoundError):  # ended while we looked
                entries.append(json.loads(file.read_text(encoding="utf-8")))
        return entries
