"""The cache in Redis: values as JSON, over connections that are kept."""

import json
from functools import cache
from typing import Any

from django.conf import settings
from django.core.cache.backends.redis import RedisCache, RedisCacheClient
from django.utils.functional import cached_property
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry


class JSONSerializer:
    """Django's own way is pickle, which runs what it reads. Whole numbers stay as they are, so that Redis can count."""

    def dumps(self, value: Any) -> int | bytes:
        if type(value) is int:
            return value
        return json.dumps(value).encode()

    def loads(self, content: bytes) -> Any:
        return json.loads(content)


class KeptRedisCache(RedisCache):
    """Django's, but for one pool of connections a process: its own makes a new one for each thread, so each request."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._server = server

    @cached_property
    def _cache(self) -> RedisCacheClient:
        return _client(self._server)


def count(key: str, seconds: int) -> int:
    """Count one more under `key`, and answer how many there are; all are forgotten so many seconds after the last.

    One round trip, where Django's cache would ask before it counts.

    Raises:
        redis.RedisError: Redis is away.
    """
    asked = _redis().pipeline(transaction=False)
    asked.incr(key)
    asked.expire(key, seconds)  # each time: a process that ends between the two leaves nothing that is counted for ever
    counted, _ = asked.execute()
    return int(counted)


@cache
def _redis() -> Redis:
    once_more = Retry(NoBackoff(), 1)  # for a connection that lay idle
    return Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=1, retry=once_more)


@cache
def _client(server: str) -> RedisCacheClient:
    options: Any = {"serializer": JSONSerializer(), "socket_connect_timeout": 1, "socket_timeout": 1}
    return RedisCacheClient([server], **options)
