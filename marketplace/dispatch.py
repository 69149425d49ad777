"""The only file that sends work: to contributors' machines, and to the coordinator's own queues.

A message names an assignment and holds nothing that matters. A message that is lost costs seconds: the coordinator's
cycle sends again whatever was not taken up. So sending never fails the request that it follows from.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from celery import current_app
from django.db import transaction
from kombu import Exchange, Queue
from kombu.exceptions import OperationalError

from marketplace.measures import UNSENT
from workers.protocol import TASK_NAME

logger = logging.getLogger(__name__)

COORDINATE = "marketplace.coordinate"
ASSIGN = "marketplace.assign"
SEAL = "marketplace.seal"
VERIFY = "marketplace.verify"
REVERIFY = "marketplace.reverify"
CHECK_BOOKS = "marketplace.check_books"
SEND_NOTICES = "marketplace.send_notices"


@dataclass(frozen=True)
class Message:
    """Word of an assignment for the machine that consumes `queue`."""

    assignment: str
    queue: str


def route(queue: str) -> Queue:
    """The one router: a worker's own list, named by its GPU's tag and its UUID, on the default exchange."""
    return Queue(queue, Exchange(""), routing_key=queue)


def send_assignments(messages: Sequence[Message]) -> None:
    """Tell each machine of its assignment, now, until Redis is away. Called after commit.

    A machine without a queue hears of it from its next heartbeat's reply.
    """
    for message in messages:
        if not message.queue:
            continue
        task_id = message.assignment
        if not _send(TASK_NAME, [task_id], task_id=task_id, declare=(), queue=route(message.queue)):
            break


def wake_coordinator() -> None:
    """Have pending jobs assigned as soon as this transaction has committed."""
    transaction.on_commit(lambda: _send(ASSIGN, []))


def verify(assignment: str) -> None:
    """Have this assignment's result checked as soon as this transaction has committed."""
    transaction.on_commit(lambda: verify_now(assignment))


def verify_now(assignment: str) -> None:
    _send(VERIFY, [assignment])


def reverify_now(row: int) -> bool:
    """Have an answer checked again. False where Redis is away."""
    return _send(REVERIFY, [str(row)])


def check_books_now(row: int) -> bool:
    """Have the ledger replayed. False where Redis is away."""
    return _send(CHECK_BOOKS, [str(row)])


def send_notices_now() -> bool:
    """Have due notices sent. False where Redis is away."""
    return _send(SEND_NOTICES, [])


def _send(name: str, args: list[str], **options: object) -> bool:
    """Whether Redis took it."""
    try:
        current_app.send_task(name, args, retry=False, **options)
    except (OperationalError, OSError) as error:
        UNSENT.labels(name).inc()
        logger.warning("Could not send %s to Redis, the next cycle will: %s", name, error)
        return False
    return True
