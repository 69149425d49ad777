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
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from workers.home import write_durably
from workers.protocol import (
    TOGETHER_ANSWER_BYTES,
    AnswerNote,
    Beat,
    Fault,
)

log = logging.getLogger(__name__)


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
        note = {"fence": fence, "digest": digest, "seconds": seconds, "size_bytes": len(content)}
        self._commit(assignment, note, content)

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
        note, _ = self._parts(assignment, whole=False)
        return note

    def open_result(self, assignment: str) -> IO[bytes]:
        """An answer's archive: the end of its note's file, or a file of its own, of a large one or an older version's.

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

    def _parts(self, assignment: str, *, whole: bool = True) -> tuple[dict[str, Any] | None, bytes]:
        """What `read` answers, and the small answer that is kept with it, where the `whole` is asked for."""
        try:
            with self._note(assignment).open("rb") as file:
                line = file.readline()
                note = _undamaged(json.loads(line), os.fstat(file.fileno()).st_size - len(line))
                return note, file.read() if whole else b""
        except FileNotFoundError:
            return None, b""
        except ValueError:  # the disk is damaged: neither heartbeats nor other answers may stumble over it for ever
            log.error("What is kept of assignment %s cannot be read, and is set aside.", assignment)
            self.set_aside(assignment)
            return None, b""

    def _note(self, assignment: str) -> Path:
        return self.folder / f"{assignment}.json"

    def _archive(self, assignment: str) -> Path:
        return self.folder / f"{assignment}.npz"


def _undamaged(note: Any, size_bytes: int) -> dict[str, Any]:
    """A note as it was written, with so many bytes behind its line.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(note, dict) or type(note.get("fence")) is not int or note.get("size_bytes", 0) != size_bytes:
        raise ValueError("a note, or what follows it, is cut")
    answers = isinstance(note.get("digest"), str) and isinstance(note.get("seconds"), int | float)
    if not answers and not (isinstance(note.get("fault"), str) and isinstance(note.get("error"), str)):
        raise ValueError("neither an answer's note nor a failure's")
    return note
