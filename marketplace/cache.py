"""The cache in Redis: values as JSON, over connections that are kept."""

import json
from functools import cache
from typing import Any

from django.core.cache.backends.redis import RedisCache, RedisCacheClient
from django.utils.functional import cached_property


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


@cache
def _client(server: str) -> RedisCacheClient:
    options: Any = {"serializer": JSONSerializer(), "socket_connect_timeout": 1, "socket_timeout": 1}
    return RedisCacheClient([server], **options)
