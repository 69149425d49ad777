"""Answers on their way to the coordinator. None is lost while it, the network or this process is down.

An answer is ``<assignment>.npz`` and beside it ``<assignment>.json``, which is written last and makes it count; a
failure is the second file alone. The outbox delivers what it finds and deletes it once the coordinator has it, or
says that it has no use for it.
"""

import contextlib
import hashlib
import json
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.client import Client, Refused, Unavailable
from workers.home import write_durably
from workers.protocol import DIGEST_HEADER, FENCE_HEADER, SECONDS_HEADER, Beat, FailureRequest, Fault

log = logging.getLogger(__name__)

FIRST_RETRY_SECONDS = 0.25
LONGEST_RETRY_SECONDS = 30.0
IDLE_SECONDS = 1.0
BUSY_SECONDS = 0.01  # how soon the outbox sees what a child process wrote


class Spool:
    """The folder of what is still to be delivered."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.written = threading.Event()  # wakes an outbox in this process; one in another process looks by itself

    def put_result(self, assignment: str, fence: int, answer: Mapping[str, NDArray[Any]], seconds: float) -> None:
        """Have `answer` on the disk, as an uncompressed ``.npz``, before returning."""
        archive = self._archive(assignment)
        temporary = archive.with_suffix(".tmp")
        with temporary.open("w+b") as file:
            np.savez(file, allow_pickle=False, **answer)
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.replace(temporary, archive)
        self._commit(assignment, {"fence": fence, "digest": digest, "seconds": seconds})

    def put_failure(self, assignment: str, fence: int, fault: Fault, error: str) -> None:
        """Have the news that `assignment` failed on the disk before returning."""
        self._commit(assignment, {"fence": fence, "fault": fault, "error": error})

    def waiting(self) -> list[str]:
        """The assignments with something to deliver, oldest first."""
        entries = []
        for note in self.folder.glob("*.json"):
            with contextlib.suppress(FileNotFoundError):  # delivered while we looked
                entries.append((note.stat().st_mtime_ns, note.stem))
        return [assignment for _, assignment in sorted(entries)]

    def clean(self) -> None:
        """Delete what an earlier process left half written."""
        for file in (*self.folder.glob("*.tmp"), *self.folder.glob("*.npz")):
            if file.suffix == ".tmp" or not self.holds(file.stem):
                file.unlink(missing_ok=True)

    def holds(self, assignment: str) -> bool:
        return self._note(assignment).exists()

    def read(self, assignment: str) -> dict[str, Any] | None:
        """What is known of `assignment`'s answer; None where it was dropped meanwhile."""
        try:
            note: dict[str, Any] = json.loads(self._note(assignment).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return note

    def open_result(self, assignment: str) -> Any:
        return self._archive(assignment).open("rb")

    def drop(self, assignment: str) -> None:
        self._note(assignment).unlink(missing_ok=True)
        self._archive(assignment).unlink(missing_ok=True)

    def set_aside(self, assignment: str) -> None:
        """Keep the files for people to look at, out of the outbox's way."""
        refused = self.folder / "refused"
        refused.mkdir(mode=0o700, exist_ok=True)
        for file in (self._note(assignment), self._archive(assignment)):
            if file.exists():
                os.replace(file, refused / file.name)

    def beats(self) -> list[Beat]:
        """What a heartbeat says of answers that wait: they are done, and their leases are still wanted."""
        notes = ((assignment, self.read(assignment)) for assignment in self.waiting())
        return [
            Beat(assignment=assignment, fence=note["fence"], progress=1.0, note="sending the answer")
            for assignment, note in notes
            if note is not None
        ]

    def _commit(self, assignment: str, note: Mapping[str, Any]) -> None:
        write_durably(self._note(assignment), json.dumps(note).encode())
        self.written.set()

    def _note(self, assignment: str) -> Path:
        return self.folder / f"{assignment}.json"

    def _archive(self, assignment: str) -> Path:
        return self.folder / f"{assignment}.npz"


class Outbox(threading.Thread):
    """Delivers what the spool holds, again and again until it is gone.

    `elsewhere` says whether another process of this host may be about to write to the spool; `delivered` is called
    after each answer that the coordinator has.
    """

    def __init__(
        self,
        spool: Spool,
        client: Client,
        elsewhere: Callable[[], bool] = lambda: False,
        delivered: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(name="outbox", daemon=True)
        self.spool = spool
        self.client = client
        self.elsewhere = elsewhere
        self.delivered = delivered
        self._ending = threading.Event()
        self._due: dict[str, tuple[float, float]] = {}  # assignment → when to try next, the pause after that

    def run(self) -> None:
        while not self._ending.is_set():
            self.spool.written.clear()
            busy = self.elsewhere()  # asked before looking, so that what was written before it turned idle is seen
            try:
                pause = self.deliver()
            except Exception:
                log.exception("The outbox stumbled and goes on.")
                pause = IDLE_SECONDS
            self.spool.written.wait(min(pause, BUSY_SECONDS if busy else IDLE_SECONDS))

    def close(self, seconds: float) -> None:
        """Let what is in the spool be delivered, for `seconds` at most, then end. The rest waits for the next start."""
        ends_at = time.monotonic() + seconds
        while self.is_alive() and self.spool.waiting() and time.monotonic() < ends_at:
            self.spool.written.set()
            time.sleep(0.02)
        self._ending.set()
        self.spool.written.set()

    def deliver(self) -> float:
        """Send what is due, and say in how many seconds the next is."""
        soonest = IDLE_SECONDS
        waiting = self.spool.waiting()
        self._due = {assignment: due for assignment, due in self._due.items() if assignment in waiting}
        for assignment in waiting:
            due_at, pause = self._due.get(assignment, (0.0, FIRST_RETRY_SECONDS))
            now = time.monotonic()
            if now >= due_at and not self._send(assignment):
                due_at = now + pause * random.uniform(0.75, 1.25)
                self._due[assignment] = (due_at, min(pause * 2, LONGEST_RETRY_SECONDS))
            soonest = min(soonest, max(due_at - time.monotonic(), 0.0)) if due_at > now else soonest
        return soonest

    def _send(self, assignment: str) -> bool:
        """Send one; False where it is worth another try."""
        note = self.spool.read(assignment)
        if note is None:
            return True
        try:
            if "digest" in note:
                headers = {
                    FENCE_HEADER: str(note["fence"]),
                    DIGEST_HEADER: note["digest"],
                    SECONDS_HEADER: f"{note['seconds']:.6f}",
                }
                with self.spool.open_result(assignment) as archive:
                    self.client.put(f"/assignment/{assignment}/result", archive, headers)
            else:
                failure = FailureRequest(fence=note["fence"], fault=note["fault"], error=note["error"])
                self.client.json("POST", f"/assignment/{assignment}/failure", failure)
        except Unavailable as problem:
            if assignment not in self._due:
                log.warning("The answer for assignment %s waits: %s", assignment, problem)
            return False
        except FileNotFoundError:  # dropped by a heartbeat's reply while we were about to send it
            self.spool.drop(assignment)
        except Refused as refusal:
            if refusal.status in (409, 410):
                log.info("Assignment %s is dead, its answer is dropped: %s", assignment, refusal.sentence)
                self.spool.drop(assignment)
            else:
                log.error("The answer for assignment %s was refused and set aside: %s", assignment, refusal.sentence)
                self.spool.set_aside(assignment)
        else:
            log.info("The answer for assignment %s is delivered.", assignment)
            self.spool.drop(assignment)
            self.delivered()
        return True
