"""The outbox: what the spool holds goes to the coordinator, again and again until it is gone."""

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from workers.client import Client, Refused, Unavailable
from workers.protocol import (
    DIGEST_HEADER,
    FENCE_HEADER,
    SECONDS_HEADER,
    TOGETHER_BYTES,
    TOGETHER_LINE_BYTES,
    AnswerNote,
    FailureRequest,
)
from workers.spool import Spool
from workers.together import Offer, Rest, send_answers

log = logging.getLogger(__name__)

FIRST_RETRY_SECONDS = 0.25
LONGEST_RETRY_SECONDS = 30.0
IDLE_SECONDS = 1.0
BUSY_SECONDS = 0.01  # how soon the outbox sees what a child process wrote


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
        """Send what may go together, a parcel after the other, and answer what is still to go by itself.

        That is also all that was tried before: an answer over which the coordinator stumbles holds up no other twice.
        """
        singly: list[str] = []
        while due and self.offer.most:
            parcel, others, due = self._parcel(due)
            singly += others
            if len(parcel) < 2 or not self._hand_in(parcel):
                singly += [note["assignment"] for note, _ in parcel]
        return singly + due

    def _parcel(self, due: list[str]) -> tuple[list[tuple[AnswerNote, bytes]], list[str], list[str]]:
        """The next answers that may go together, what comes before them and may not, and what is left behind them."""
        parcel: list[tuple[AnswerNote, bytes]] = []
        others: list[str] = []
        room = TOGETHER_BYTES - TOGETHER_LINE_BYTES
        for place, assignment in enumerate(due):
            small = self.spool.small_answer(assignment) if assignment not in self._due else None
            if small is None:
                others.append(assignment)
            elif len(small[1]) <= room and len(parcel) < self.offer.most:
                parcel.append(small)
                room -= len(small[1])
            else:
                return parcel, others, due[place:]
        return parcel, others, []

    def _hand_in(self, parcel: list[tuple[AnswerNote, bytes]]) -> bool:
        """Send answers together; False where the request as a whole was refused."""
        outcomes: list[Any]
        try:
            with self.rest.after():
                outcomes = send_answers(self.client, self.offer, parcel)
        except Refused as refusal:
            log.warning("%d answers were refused together and go one by one: %s", len(parcel), refusal.sentence)
            return False
        except Unavailable as problem:
            outcomes = [problem] * len(parcel)
        for (note, _), outcome in zip(parcel, outcomes, strict=True):
            self._settle(note["assignment"], outcome)
        return True

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
