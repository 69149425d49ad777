"""Answers on their way to the coordinator. None is lost while it, the network or this process is down.

An answer is ``<assignment>.json``: a line of JSON, and after it a small answer's archive; a larger one is
``<assignment>.npz`` beside it. The first is written last and makes it count; a failure is its line alone. The outbox
delivers what it finds and deletes it once the coordinator has it, or says that it has no use for it.
"""

import contextlib
import hashlib
import io
import json
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from workers.client import Client, Refused, Unavailable
from workers.home import write_durably
from workers.protocol import (
    DIGEST_HEADER,
    FENCE_HEADER,
    SECONDS_HEADER,
    TOGETHER_ANSWER_BYTES,
    TOGETHER_BYTES,
    TOGETHER_LINE_BYTES,
    AnswerNote,
    Beat,
    FailureRequest,
    Fault,
)
from workers.together import Offer, Rest, send_answers

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
        if sum(array.nbytes for array in answer.values()) <= TOGETHER_ANSWER_BYTES:
            buffer = io.BytesIO()
            np.savez(buffer, allow_pickle=False, **answer)
            content = buffer.getvalue()
            digest = hashlib.sha256(content).hexdigest()
        else:
            content, digest = b"", self._put_archive(assignment, answer)
        self._commit(assignment, {"fence": fence, "digest": digest, "seconds": seconds}, content)

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
        """What is known of `assignment`'s answer; None where it was dropped meanwhile, or cannot be read any more."""
        note, _ = self._parts(assignment)
        return note

    def open_result(self, assignment: str) -> IO[bytes]:
        """
        Raises:
            FileNotFoundError: it was dropped meanwhile.
        """
        _, content = self._parts(assignment)
        return io.BytesIO(content) if content else self._archive(assignment).open("rb")

    def small_answer(self, assignment: str) -> tuple[AnswerNote, bytes] | None:
        """An answer that may go together with others; None where it is larger, a failure, or gone."""
        note, content = self._parts(assignment)
        if note is None or not 0 < len(content) <= TOGETHER_ANSWER_BYTES:
            return None
        described = AnswerNote(
            assignment=assignment,
            fence=note["fence"],
            sha256=note["digest"],
            seconds=round(note["seconds"], 6),
            size_bytes=len(content),
        )
        return described, content

    def drop(self, assignment: str) -> None:
        self._note(assignment).unlink(missing_ok=True)
        self._archive(assignment).unlink(missing_ok=True)

    def set_aside(self, assignment: str) -> None:
        """Keep the files for people to look at, out of the outbox's way."""
        refused = self.folder / "refused"
        refused.mkdir(mode=0o700, exist_ok=True)
        for file in (self._note(assignment), self._archive(assignment)):
            with contextlib.suppress(FileNotFoundError):
                os.replace(file, refused / file.name)

    def beats(self) -> list[Beat]:
        """What a heartbeat says of answers that wait: they are done, and their leases are still wanted."""
        notes = ((assignment, self.read(assignment)) for assignment in self.waiting())
        return [
            Beat(assignment=assignment, fence=note["fence"], progress=1.0, note="sending the answer")
            for assignment, note in notes
            if note is not None
        ]

    def _put_archive(self, assignment: str, answer: Mapping[str, NDArray[Any]]) -> str:
        """Have a large answer on the disk, where it counts for nothing yet; its digest."""
        archive = self._archive(assignment)
        temporary = archive.with_suffix(".tmp")
        with temporary.open("w+b") as file:
            np.savez(file, allow_pickle=False, **answer)
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.replace(temporary, archive)
        return digest

    def _commit(self, assignment: str, note: Mapping[str, Any], content: bytes = b"") -> None:
        write_durably(self._note(assignment), json.dumps(note).encode() + b"\n" + content)
        self.written.set()

    def _parts(self, assignment: str) -> tuple[dict[str, Any] | None, bytes]:
        """What `read` answers, and the small answer that is kept with it."""
        try:
            line, _, content = self._note(assignment).read_bytes().partition(b"\n")
            note: dict[str, Any] = json.loads(line)
        except FileNotFoundError:
            return None, b""
        except ValueError:  # the disk is damaged: neither heartbeats nor other answers may stumble over it for ever
            log.error("What is kept of assignment %s cannot be read, and is set aside.", assignment)
            self.set_aside(assignment)
            return None, b""
        return note, content

    def _note(self, assignment: str) -> Path:
        return self.folder / f"{assignment}.json"

    def _archive(self, assignment: str) -> Path:
        return self.folder / f"{assignment}.npz"


class Outbox(threading.Thread):
    """Delivers what the spool holds, again and again until it is gone; small answers together, where that is offered.

    `elsewhere` says whether another process of this host may be about to write to the spool; `delivered` is called
    after each answer that the coordinator has.
    """

    def __init__(
        self,
        spool: Spool,
        client: Client,
        offer: Offer,
        elsewhere: Callable[[], bool] = lambda: False,
        delivered: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(name="outbox", daemon=True)
        self.spool = spool
        self.client = client
        self.offer = offer
        self.elsewhere = elsewhere
        self.delivered = delivered
        self.rest = Rest()
        self._ending = threading.Event()
        self._due: dict[str, tuple[float, float]] = {}  # of what was tried: when to try next, the pause after that

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
            self._ending.wait(self.rest.seconds_left)

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
        waiting = self.spool.waiting()
        self._due = {assignment: due for assignment, due in self._due.items() if assignment in waiting}
        now = time.monotonic()
        due = [assignment for assignment in waiting if self._due.get(assignment, (now, 0.0))[0] <= now]
        for assignment in self._send_together(due):
            self._send(assignment)
        left = (due_at - time.monotonic() for due_at, _ in self._due.values())
        return max(min(left, default=IDLE_SECONDS), 0.0)

    def _send_together(self, due: list[str]) -> list[str]:
        """Send at once what may go together, and answer what is still to go by itself.

        That is also all that was tried before: an answer over which the coordinator stumbles holds up no other twice.
        """
        parcel: list[tuple[AnswerNote, bytes]] = []
        room = TOGETHER_BYTES - TOGETHER_LINE_BYTES
        for assignment in due if self.offer.most else []:
            small = self.spool.small_answer(assignment) if assignment not in self._due else None
            if small and len(small[1]) <= room and len(parcel) < self.offer.most:
                parcel.append(small)
                room -= len(small[1])
        if len(parcel) < 2:
            return due
        sent = [note["assignment"] for note, _ in parcel]
        try:
            with self.rest.after():
                outcomes = send_answers(self.client, self.offer, parcel)
        except Refused as refusal:
            log.warning("%d answers were refused together and go one by one: %s", len(sent), refusal.sentence)
            return due
        except Unavailable as problem:
            outcomes = [problem] * len(sent)
        for assignment, outcome in zip(sent, outcomes, strict=True):
            self._settle(assignment, outcome)
        return [assignment for assignment in due if assignment not in sent]

    def _send(self, assignment: str) -> None:
        note = self.spool.read(assignment)
        if note is None:
            return
        outcome: Exception | None = None
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
        except FileNotFoundError:  # dropped by a heartbeat's reply while we were about to send it
            self.spool.drop(assignment)
            return
        except (Refused, Unavailable) as problem:
            outcome = problem
        self._settle(assignment, outcome)

    def _settle(self, assignment: str, outcome: object) -> None:
        """Do what came of sending `assignment` asks for: a `Refused`, an `Unavailable`, or that it is delivered."""
        if isinstance(outcome, Unavailable):
            if assignment not in self._due:
                log.warning("The answer for assignment %s waits: %s", assignment, outcome)
            _, pause = self._due.get(assignment, (0.0, FIRST_RETRY_SECONDS))
            due_at = time.monotonic() + pause * random.uniform(0.75, 1.25)
            self._due[assignment] = (due_at, min(pause * 2, LONGEST_RETRY_SECONDS))
            return
        self._due.pop(assignment, None)
        if not isinstance(outcome, Refused):
            log.info("The answer for assignment %s is delivered.", assignment)
            self.spool.drop(assignment)
            self.delivered()
        elif outcome.status in (409, 410):
            log.info("Assignment %s is dead, its answer is dropped: %s", assignment, outcome.sentence)
            self.spool.drop(assignment)
        else:
            log.error("The answer for assignment %s was refused and set aside: %s", assignment, outcome.sentence)
            self.spool.set_aside(assignment)
