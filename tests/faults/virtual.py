"""What stands in for the world: virtual time, a broker that loses, doubles and reorders, and drawn randomness."""

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection

from marketplace import broker, dispatch, notifications
from marketplace.actions import coordination, intake, turns
from marketplace.models import DatabaseNow
from marketplace.models.clock import database_now as real_now


class Died(BaseException):
    """The process ended here: neither the code's own handlers nor what was to come after the commit runs."""


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1, tzinfo=UTC)

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@contextmanager
def virtual_time() -> Iterator[Clock]:
    """The database's clock stands still but for what the test lets pass: for actions, and for columns' defaults."""
    clock = Clock()

    def as_sql(self: DatabaseNow, compiler: Any, connection: Any, **extra: Any) -> tuple[str, list[object]]:
        return "%s", [connection.ops.adapt_datetimefield_value(clock.now)]

    with pytest.MonkeyPatch.context() as patch:
        for name, module in list(sys.modules.items()):
            if name.startswith("marketplace") and getattr(module, "database_now", None) is real_now:
                patch.setattr(module, "database_now", lambda: clock.now)
        patch.setattr(turns, "LONGEST_SECONDS", 0.0)  # nobody rests in it
        patch.setattr(DatabaseNow, "as_sql", as_sql)
        patch.setattr(DatabaseNow, "as_sqlite", as_sql)
        patch.setattr(intake, "_seen", intake._seen.__wrapped__)  # its SQL, which is kept, would keep the moment
        patch.setattr(connection.features, "supports_default_keyword_in_insert", False)
        patch.setattr(connection.features, "supports_default_keyword_in_bulk_insert", False)
        yield clock


@contextmanager
def drawn_randomness(rng: random.Random) -> Iterator[None]:
    """UUIDs, secrets and ties come from `rng`, so that a seed repeats them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.urandom", rng.randbytes)
        patch.setattr("random._urandom", rng.randbytes)
        patch.setattr(coordination, "random", SimpleNamespace(Random=lambda: rng))
        yield


@contextmanager
def without_redis(send: Callable[[str, list[str], str], bool], changed: Callable[[], None]) -> Iterator[None]:
    """Messages go to `send` (task, arguments, queue) and hints to `changed`; Redis' users are nobody's concern."""

    def captured(name: str, args: list[str], **options: Any) -> bool:
        queue = options.get("queue")
        return send(name, args, queue.name if queue else "")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dispatch, "_send", captured)
        patch.setattr(notifications, "changed", lambda *topics: changed())
        for name in ("admit", "expel"):
            patch.setattr(broker, name, lambda workers: None)
        patch.setattr(broker, "restore_users", lambda: False)
        patch.setattr(broker, "makes_users", lambda: True)
        patch.setattr(broker, "waiting", lambda queue: 0)
        patch.setattr(broker, "claim", lambda key, seconds: True)
        patch.setattr(broker, "release", lambda key: None)
        yield
