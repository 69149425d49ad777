"""Starts and answers of this host that go to the coordinator in one request, where it takes several."""

import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workers.client import JSON_LIMIT_BYTES, RETRIED_STATUS, Client, Refused, Unavailable, clean_line
from workers.protocol import MOST_TOGETHER, AnswerNote, AnswersLine, StartsRequest

PATIENCE_SECONDS = 2.0  # that a start waits for others' request to end, before it goes by itself
NO_SUCH_CALL = (404, 405)

Outcome = Any  # what came for one of several; else a `Refused`, or the `Unavailable` that says to try it by itself


@dataclass
class Offer:
    """How many assignments the coordinator takes in one call; 0 where each needs its own."""

    most: int = 0

    def hear(self, together: object) -> None:
        """Heed what a heartbeat's reply says of it."""
        self.most = min(together, MOST_TOGETHER) if type(together) is int and together > 1 else 0


@dataclass(eq=False)
class _Waiting:
    assignment: str
    sent: bool = False
    outcome: Outcome = None


class Starts:
    """Begins assignments for all slots of this process.

    Nobody waits for others to come: who finds no request under way sends what is there, and those who come meanwhile
    go together in the next.
    """

    def __init__(self, client: Client, offer: Offer) -> None:
        self.client = client
        self.offer = offer
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._queue: list[_Waiting] = []
        self._sending = False

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
        with self._changed:
            self._queue.append(mine)
            self._changed.wait_for(lambda: mine.sent or not self._sending, PATIENCE_SECONDS)
            if mine.sent:
                self._changed.wait_for(lambda: mine.outcome is not None)
                return mine.outcome
            self._queue.remove(mine)
            if self._sending:
                return Unavailable("The request before this one takes long.")
            others = max(self.offer.most - 1, 0)
            batch, self._queue = [mine, *self._queue[:others]], self._queue[others:]
            for each in batch:
                each.sent = True
            self._sending = True
        outcomes: list[Outcome] = [Unavailable("It was not asked for.")] * len(batch)
        try:
            outcomes = self._ask([each.assignment for each in batch])
        finally:
            with self._changed:
                self._sending = False
                for each, outcome in zip(batch, outcomes, strict=True):
                    each.outcome = outcome
                self._changed.notify_all()
        return mine.outcome

    def _ask(self, assignments: list[str]) -> list[Outcome]:
        if len(assignments) == 1:
            try:
                return [self._alone(assignments[0], 0.0)]
            except (Refused, Unavailable) as problem:
                return [problem]
        request = StartsRequest(assignments=assignments)
        try:
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
