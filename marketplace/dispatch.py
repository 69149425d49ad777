"""The only file that sends work: to contributors' machines, and to the coordinator's own queues.

A message names an assignment and holds nothing that matters. A message that is lost costs seconds: the coordinator's
cycle sends again whatever was not taken up. So sending never fails the request that it follows from.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from celery import current_app
from django.db import transaction
from kombu import Exchange, Queue
from kombu.exceptions import BatchPublishError, OperationalError
from redis.exceptions import RedisError

from marketplace import broker
from marketplace.domain.lifecycle import JobState
from marketplace.measures import UNSENT
from marketplace.models import Job
from workers.protocol import TASK_NAME

logger = logging.getLogger(__name__)

COORDINATE = "marketplace.coordinate"
ASSIGN = "marketplace.assign"
SEAL = "marketplace.seal"
VERIFY = "marketplace.verify"
VERIFY_WAITING = "marketplace.verify_waiting"
REVERIFY = "marketplace.reverify"
CHECK_BOOKS = "marketplace.check_books"
SEND_NOTICES = "marketplace.send_notices"
READ_UPLOAD = "marketplace.read_upload"
MAKE_MATRIX = "marketplace.make_matrix"
SWEEP_DATA = "marketplace.sweep_data"

WOKEN = "computenet:woken"  # a key in Redis while a call to wake the coordinator is on its way
CALLED = "computenet:called"  # the same, of a call to check small answers that wait
WOKEN_SECONDS = 1.0  # after which it counts as lost
AGAIN_SECONDS = 0.1


@dataclass(frozen=True)
class Message:
    """Word of an assignment for the machine that consumes `queue`."""

    assignment: str
    queue: str


def route(queue: str) -> Queue:
    """The one router: a worker's own list, named by its GPU's tag and its UUID, on the default exchange."""
    return Queue(queue, Exchange(""), routing_key=queue)


def send_assignments(messages: Sequence[Message]) -> None:
    """Tell each machine of its assignment, now, in one exchange with Redis. Called after commit.

    A machine without a queue hears of it from its next heartbeat's reply.
    """
    sent = [message for message in messages if message.queue]
    if not sent:
        return
    try:
        with current_app.producer_pool.acquire(block=True) as producer, producer.batch():
            for each in sent:
                where: dict[str, Any] = {"queue": route(each.queue), "declare": (), "producer": producer}
                if not _send(TASK_NAME, [each.assignment], task_id=each.assignment, **where):
                    break
    except (BatchPublishError, OperationalError, OSError, RedisError) as error:
        _note_unsent(TASK_NAME, error)


def wake_coordinator() -> None:
    """Have pending jobs assigned as soon as this transaction has committed.

    One call to wake stands for all that come before the coordinator heeds it: under load most need no message.
    """
    transaction.on_commit(_wake)


def wake_for_a_free_worker() -> None:
    """Have pending jobs assigned as soon as this transaction has committed, where any wait then.

    One that is submitted later wakes the coordinator itself, and finds the worker free.
    """
    transaction.on_commit(_wake_where_jobs_wait)


def _wake_where_jobs_wait() -> None:
    if Job.objects.filter(state=JobState.PENDING.value).exists():
        _wake()


def wake_again() -> None:
    """Have the coordinator look once more in a moment: another one assigns just now and may have looked too early."""
    _wake(countdown=AGAIN_SECONDS)


def _wake(**options: object) -> None:
    _once(WOKEN, ASSIGN, **options)


def _once(key: str, name: str, **options: object) -> None:
    """Send, unless one is on its way that stands for this one too."""
    try:
        first = broker.claim(key, WOKEN_SECONDS)
    except RedisError as error:
        _note_unsent(name, error)
        return
    if first:
        _send(name, [], **options)


def heed_wake() -> None:
    """The coordinator assigns now: who commits from here on wakes it anew. Called before it looks at what waits."""
    broker.release(WOKEN)


def verify(assignment: str) -> None:
    """Have this assignment's result checked by itself as soon as this transaction has committed."""
    transaction.on_commit(lambda: verify_now(assignment))


def verify_waiting() -> None:
    """Have what small answers wait checked together as soon as this transaction has committed.

    One call stands for those that come before it is heeded.
    """
    transaction.on_commit(verify_waiting_now)


def verify_now(assignment: str) -> None:
    _send(VERIFY, [assignment])


def verify_waiting_now() -> None:
    _once(CALLED, VERIFY_WAITING)


def heed_call() -> None:
    """The verifier looks now at what waits: who commits from here on calls it anew."""
    broker.release(CALLED)


def reverify_now(row: int) -> bool:
    """Have an answer checked again. False where Redis is away."""
    return _send(REVERIFY, [str(row)])


def check_books_now(row: int) -> bool:
    """Have the ledger replayed. False where Redis is away."""
    return _send(CHECK_BOOKS, [str(row)])


def read_upload(upload: str) -> None:
    """Have this upload read as soon as this transaction has committed."""
    transaction.on_commit(lambda: read_upload_now(upload))


def read_upload_now(upload: str) -> bool:
    """Have an upload read. False where Redis is away."""
    return _send(READ_UPLOAD, [upload])


def make_matrix(matrix: int) -> None:
    """Have this matrix made as soon as this transaction has committed."""
    transaction.on_commit(lambda: make_matrix_now(matrix))


def make_matrix_now(matrix: int) -> bool:
    """Have a matrix made. False where Redis is away."""
    return _send(MAKE_MATRIX, [str(matrix)])


def send_notices_now() -> bool:
    """Have due notices sent. False where Redis is away."""
    return _send(SEND_NOTICES, [])


def _send(name: str, args: list[str], **options: object) -> bool:
    """Whether Redis took it."""
    try:
        current_app.send_task(name, args, retry=False, **options)
    except (OperationalError, OSError) as error:
        _note_unsent(name, error)
        return False
    return True


def _note_unsent(name: str, error: Exception) -> None:
    UNSENT.labels(name).inc()
    logger.warning("Could not send %s to Redis, the next cycle will: %s", name, error)
