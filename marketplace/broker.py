"""Redis as contributors' machines see it: one user each, which may pop its own list and do nothing else."""

import logging
from collections.abc import Iterable
from functools import cache
from urllib.parse import quote, urlsplit, urlunsplit

import redis
from django.conf import settings

from marketplace.models import Worker

logger = logging.getLogger(__name__)

MARKER = "computenet:users"  # gone when Redis lost its memory, and its users with it
TIMEOUT_SECONDS = 5


@cache
def connection() -> redis.Redis:
    """This process's connection pool to Redis, as the coordinator's own user."""
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS
    )


def username(worker: Worker) -> str:
    return f"w-{worker.pk}"


def url_for(worker: Worker, secret: str) -> str:
    """The broker's public address with this worker's own user and password in it."""
    parts = urlsplit(settings.PUBLIC_BROKER_URL)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{username(worker)}:{quote(secret, safe='')}@{place}"))


def admit(workers: Iterable[Worker]) -> None:
    """Make the Redis user of each worker. Where Redis is away, the coordinator's next cycle does it."""
    try:
        with connection().pipeline(transaction=False) as pipe:
            for worker in workers:
                pipe.execute_command(
                    "ACL", "SETUSER", username(worker), "reset", "resetchannels", "on",
                    f"#{worker.broker_secret_sha256}", f"~{worker.queue}",
                    "+ping", "+brpop", "+llen", "+multi", "+exec",
                )  # fmt: skip
            pipe.execute()
    except redis.RedisError as error:
        logger.warning("Redis would not make a worker's user: %s", error)


def expel(workers: Iterable[Worker]) -> None:
    """Delete the Redis user of each worker, which cuts its connections at once."""
    try:
        connection().execute_command("ACL", "DELUSER", *(username(worker) for worker in workers))
    except redis.RedisError as error:
        logger.warning("Redis would not delete a worker's user: %s", error)


def restore_users() -> bool:
    """Make every enrolled worker's user again if Redis lost its memory. True where it had."""
    if connection().exists(MARKER):
        return False
    admit(Worker.objects.filter(is_active=True).exclude(enrolled_at=None))
    connection().set(MARKER, "1")
    return True
