"""Starts and answers of this host that go to the coordinator in one request, where it takes several."""

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workers.client import JSON_LIMIT_BYTES, RETRIED_STATUS, Client, Refused, Unavailable, clean_line
from workers.protocol import MOST_TOGETHER, AnswerNote, AnswersLine, StartsRequest

PATIENCE_SECONDS = 2.0  # that a start waits for others' request to end, before it goes by itself
RESTS_A_SLOT = 0.1  # times as long as a request took
LONGEST_REST_SECONDS = 0.1
NO_SUCH_CALL = (404, 405)

Outcome = Any  # what came for one of several; else a `Refused`, or the `Unavailable` that says to try it by itself


@dataclass
class Offer:
    """How many assignments the coordinator takes in one call; 0 where each needs its own."""

    most: int = 0

    def hear(self, together: object) -> None:
        """Heed what a heartbeat's reply says of it."""
        self.most = min(together, MOST_TOGETHER) if type(together) is int and together > 1 else 0


class Rest:
    """Between two requests of one kind, so that under load what is to be sent gathers.

    One that went by itself is followed at once. After others it is the longer the more slots there are: of a few, none
    shall stand still for long.
    """

    def __init__(self) -> None:
        self.slots = 1
        self._ends_at = 0.0  # monotonic, seconds

    @contextlib.contextmanager
    def after(self) -> Iterator[None]:
        """Rest after the request in this `with` block, according to how long it takes."""
        began = time.monotonic()
        try:
            yield
        finally:
            ended = time.monotonic()
            self._ends_at = ended + min((ended - began) * self.slots * RESTS_A_SLOT, LONGEST_REST_SECONDS)

    @property
    def seconds_left(self) -> float:
        return max(self._ends_at - time.monotonic(), 0.0)


@dataclass(eq=False)
class _Waiting:
    assignment: str
    woken: threading.Event = field(default_factory=threading.Event)  # it is to lead, or has an outcome
    leads: bool = False
    outcome: Outcome = None


class Starts:
    """Begins assignments for all slots of this process.

    Who finds no request under way leads: it sends what there is once the last request was rested from. Those who come
    meanwhile go together in the next, which the first of them leads.
    """

    def __init__(self, client: Client, offer: Offer) -> None:
        self.client = client
        self.offer = offer
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._queue: list[_Waiting] = []
        self._led = False
        self.rest = Rest()

    def begin(self, assignment: str, persist_seconds: float) -> dict[str, Any]:
        """What the coordinator answers to the start of `assignment`.

        Where nothing answers, it tries again until `persist_seconds` have passed.

        Raises:
            Refused, Unavailable
        """
        ends_at = time.monotonic() + persist_seconds
        if self.offer.most and os.getpid() == self._process:  # a forked child has one slot, and perhaps a held lock
            outcome = self._gathered(_Waiting(assignment))
            if isinstance(outcome, Refused):
                raise outcome
            if isinstance(outcome, dict):
                return outcome
        return self._alone(assignment, max(ends_at - time.monotonic(), 0.0))

    def _alone(self, assignment: str, persist_seconds: float) -> dict[str, Any]:
        return self.client.json("POST", f"/assignment/{assignment}/start", {}, persist_seconds=persist_seconds)

    def _gathered(self, mine: _Waiting) -> Outcome:
        with self._lock:
            self._queue.append(mine)
            mine.leads, self._led = not self._led, True
        if not mine.leads and not mine.woken.wait(PATIENCE_SECONDS):
            with self._lock:
                if mine in self._queue and not mine.leads:
                    self._queue.remove(mine)
                    return Unavailable("The request before this one takes long.")
            mine.woken.wait()
        if mine.leads:
            self._lead()
        return mine.outcome

    def _lead(self) -> None:
        """Send what waits, whose first is the leader's own."""
        batch: list[_Waiting] = []
        outcomes: list[Outcome] = []
        try:
            time.sleep(self.rest.seconds_left)
            with self._lock:
                most = max(self.offer.most, 1)
                batch, self._queue = self._queue[:most], self._queue[most:]
            outcomes = self._ask([each.assignment for each in batch])
        finally:
            with self._lock:
                if not batch:  # it ended before it had one
                    del self._queue[:1]
                self._led = bool(self._queue)
                for following in self._queue[:1]:
                    following.leads = True
                    following.woken.set()
            outcomes += [Unavailable("It was not asked for.")] * (len(batch) - len(outcomes))
            for each, outcome in zip(batch, outcomes, strict=True):
                each.outcome = outcome
                each.woken.set()

    def _ask(self, assignments: list[str]) -> list[Outcome]:
        if len(assignments) == 1:
            try:
                return [self._alone(assignments[0], 0.0)]
            except (Refused, Unavailable) as problem:
                return [problem]
        request = StartsRequest(assignments=assignments)
        try:
            with self.rest.after():
                found = _each(self.client, self.offer, "/assignments/start", request, "assignments", len(assignments))
        except (Refused, Unavailable) as problem:  # of the request as a whole: each asks by itself
            return [Unavailable(str(problem))] * len(assignments)
        return [_specification(outcome) for outcome in found]


def _specification(outcome: Outcome) -> Outcome:
    if not isinstance(outcome, dict):
        return outcome
    found = outcome.get("specification")
    return found if isinstance(found, dict) else Unavailable("The coordinator started it and said nothing of it.")


def send_answers(client: Client, offer: Offer, answers: Sequence[tuple[AnswerNote, bytes]]) -> list[Outcome]:
    """Hand in several answers at once.

    Raises:
        Refused: the request as a whole; no answer was taken in.
        Unavailable
    """
    line = json.dumps(AnswersLine(answers=[note for note, _ in answers])).encode() + b"\n"
    body = line + b"".join(content for _, content in answers)
    return _each(client, offer, "/assignments/results", body, "answers", len(answers))


def _each(
    client: Client, offer: Offer, path: str, body: Mapping[str, Any] | bytes, key: str, count: int
) -> list[Outcome]:
    """What a call about several said of each.

    Raises:
        Refused, Unavailable
    """
    try:
        found = client.json("POST", path, body, limit_bytes=count * JSON_LIMIT_BYTES).get(key)
    except Refused as refusal:
        if refusal.status in NO_SUCH_CALL:
            offer.most = 0  # until it is offered again
        raise
    if not isinstance(found, list) or len(found) != count:
        raise Unavailable("The coordinator's answer does not fit what it was asked.")
    return [_outcome(said) for said in found]


def _outcome(said: Any) -> Outcome:
    status, sentence = (said.get("status"), said.get("error")) if isinstance(said, dict) else (None, None)
    if status == 200:
        return said
    sentence = clean_line(str(sentence))
    if type(status) is int and 400 <= status < 500 and status not in RETRIED_STATUS:
        return Refused(status, sentence)
    return Unavailable(sentence)
