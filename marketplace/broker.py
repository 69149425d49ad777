"""Redis as contributors' machines see it: one user each, which may pop its own list and do nothing else.

Which users there are follows from the workers' rows alone. Redis keeps them in memory and nowhere else.
"""

import logging
from collections.abc import Iterable
from functools import cache
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from marketplace.models import Worker

logger = logging.getLogger(__name__)

PREFIX = "w-"
RIGHTS = ("+ping", "+brpop", "+llen", "+multi", "+exec")
MARKER = "computenet-users"  # a user too, without any right: it is lost exactly when the others are
CHECKED = "computenet:users-checked"  # a key that lasts until all users are to be compared again
CHECK_EVERY_SECONDS = 30
TIMEOUT_SECONDS = 5
TRIES = 3


@cache
def connection() -> redis.Redis:
    """This process's connection pool to Redis, as the coordinator's own user."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 1),  # once, for a connection that lay idle: who waits here is a request or the cycle
    )


def username(worker: Worker) -> str:
    return f"{PREFIX}{worker.pk}"


def url_for(worker: Worker, secret: str) -> str:
    """The broker's public address with this worker's own user and password in it."""
    parts = urlsplit(settings.PUBLIC_BROKER_URL)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{username(worker)}:{quote(secret, safe='')}@{place}"))


def makes_users() -> bool:
    """Whether this Redis lets us make users; several managed ones do not. True where it cannot be asked now."""
    try:
        connection().execute_command("ACL", "SETUSER", MARKER, "reset", "off")
    except (redis.ConnectionError, redis.TimeoutError):
        return True
    except redis.ResponseError as refusal:  # no such command, or not for this user
        logger.warning("Redis makes no users, so that machines get their work over HTTPS: %s", refusal)
        return False
    return True


def admit(workers: Iterable[Worker]) -> None:
    """Make the Redis user of each worker anew, which cuts what still uses an older password.

    Call it after the commit. Where Redis is away, a later cycle of the coordinator does it.
    """
    try:
        _follow_rows([worker.pk for worker in workers])
    except redis.RedisError as error:
        logger.warning("Redis would not make a worker's user, a later cycle will: %s", error)


def expel(workers: Iterable[Worker]) -> None:
    """Delete the Redis user of each worker that may not enter, which cuts its connections at once.

    Call it after the commit. Where Redis is away, a later cycle of the coordinator does it.
    """
    try:
        _follow_rows([worker.pk for worker in workers])
    except redis.RedisError as error:
        logger.warning("Redis would not delete a worker's user, a later cycle will: %s", error)


def waiting(queue: str) -> int:
    """How many messages wait in one of the coordinator's own queues; 0 where Redis is away."""
    try:
        return int(connection().llen(queue))
    except redis.RedisError as error:
        logger.warning("Redis would not say how long %s is: %s", queue, error)
        return 0


def claim(key: str, seconds: float) -> bool:
    """Whether nobody else has claimed `key` within so many seconds and not released it.

    Raises:
        redis.RedisError: Redis is away.
    """
    return bool(connection().set(key, 1, nx=True, px=round(1000 * seconds)))


def release(key: str) -> None:
    try:
        connection().delete(key)
    except redis.RedisError as error:
        logger.warning("Redis would not release %s: %s", key, error)


def restore_users() -> bool:
    """Compare all users with the workers' rows if Redis lost its users, or every so often. True where it did.

    The second is for a change that Redis did not hear of, because it could not be reached or because a process died
    between its commit and Redis. Nothing is taken for done before Redis has confirmed it.
    """
    try:
        if connection().exists(CHECKED) and connection().execute_command("ACL", "GETUSER", MARKER) is not None:
            return False
        _compare()
    except redis.ResponseError as refusal:  # it makes no users, which enrolment says louder
        logger.debug("Redis makes no users: %s", refusal)
        return False
    except redis.RedisError as error:
        logger.warning("Redis would not make the workers' users, a later cycle will: %s", error)
        return False
    return True


def make_all() -> bool:
    """Make every worker's user what its row says, now. False where Redis is away or makes none."""
    try:
        _compare()
    except redis.RedisError as error:
        logger.warning("Redis would not make the workers' users: %s", error)
        return False
    return True


def _compare() -> None:
    lines = [_word(line) for line in connection().execute_command("ACL", "LIST")]
    present = {line.split()[1]: line for line in lines}
    wanted = {username(worker): worker for worker in _enterers()}
    wrong = [worker.pk for name, worker in wanted.items() if not _is_as_wanted(present.get(name, ""), worker)]
    strangers = [name for name in present if name.startswith(PREFIX) and name not in wanted]
    _follow_rows(wrong, strangers)
    with connection().pipeline(transaction=True) as pipe:
        pipe.execute_command("ACL", "SETUSER", MARKER, "reset", "off")
        pipe.set(CHECKED, "1", ex=CHECK_EVERY_SECONDS)
        pipe.execute()


def _enterers(**where: Any) -> list[Worker]:
    """The workers that may connect: active, enrolled, with a list of their own."""
    return list(Worker.objects.filter(is_active=True, **where).exclude(broker_secret_sha256="").exclude(queue=""))


def _follow_rows(worker_ids: list[Any], strangers: Iterable[str] = ()) -> None:
    """Make the users of these workers what their rows say, and delete `strangers`.

    The rows are read again after Redis has answered: of two processes that do this at once, the one that read older
    rows may have been the later one at Redis.
    """
    gone, last = [*strangers], None
    for _ in range(TRIES):
        workers = _enterers(pk__in=worker_ids)
        rows = {worker.pk: (worker.queue, worker.broker_secret_sha256) for worker in workers}
        if rows == last:
            return
        last = rows
        gone += [f"{PREFIX}{pk}" for pk in worker_ids]
        if not gone:
            return
        with connection().pipeline(transaction=True) as pipe:
            pipe.execute_command("ACL", "DELUSER", *gone)
            for worker in workers:
                pipe.execute_command("ACL", "SETUSER", username(worker), *_rules(worker))
            pipe.execute()
        gone = []


def _rules(worker: Worker) -> list[str]:
    return ["reset", "resetchannels", "on", f"#{worker.broker_secret_sha256}", f"~{worker.queue}", *RIGHTS]


def _is_as_wanted(line: str, worker: Worker) -> bool:
    """Whether a line of `ACL LIST` is the worker's user: its password, its key, no other and no more rights."""
    words = line.split()[2:]
    passwords, keys = [w for w in words if w[0] == "#"], [w for w in words if w[0] == "~"]
    rights = {w for w in words if w[0] in "+-"}
    return (
        "on" in words
        and "nopass" not in words
        and passwords == [f"#{worker.broker_secret_sha256}"]
        and keys == [f"~{worker.queue}"]
        and rights == {"-@all", *RIGHTS}
    )


def _word(answer: bytes | str) -> str:
    return answer.decode() if isinstance(answer, bytes) else answer
