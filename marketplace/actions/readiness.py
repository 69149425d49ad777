"""Whether this network can do its work now: each thing that it rests on, asked, with a sentence for the operator."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from marketplace import broker
from marketplace.models import Network, database_now, guards

NOT_ASKED = "It was not asked: the database does not answer."


@dataclass(frozen=True)
class Check:
    name: str
    ok: bool
    detail: str  # one sentence


def checks() -> list[Check]:
    """Database, migrations, guards, Redis and beat, each by itself; seven statements, and one ping of Redis."""
    reachable = _database()
    found = [reachable]
    for name, ask in (("migrations", _migrations), ("guards", _guards), ("beat", _beat)):
        found.append(_asked(name, ask) if reachable.ok else Check(name, False, NOT_ASKED))
    return [*found, _redis()]


def _asked(name: str, ask: Callable[[], Check]) -> Check:
    try:
        return ask()
    except (DatabaseError, Network.DoesNotExist):
        return Check(name, False, "The database has not the tables for it; run `python manage.py migrate`.")


def _database() -> Check:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return Check("database", False, "The database does not answer.")
    return Check("database", True, "The database answers.")


def _migrations() -> Check:
    loader = MigrationLoader(None)  # what this version of the code has
    applied = MigrationRecorder(connection).applied_migrations()
    missing = sorted(".".join(key) for key in loader.disk_migrations if key not in applied)
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        return Check("migrations", False, f"The migration {missing[0]}{more} is due; run `python manage.py migrate`.")
    return Check("migrations", True, "No migration is due.")


def _guards() -> Check:
    found = guards.differences()
    if found:
        return Check("guards", False, f"{found[0]} Run `python manage.py migrate`, which makes it again.")
    return Check("guards", True, "The database's guards are in place.")


def beat_age(network: Network) -> timedelta | None:
    """How long ago the last cycle of the coordinator ended; None where none has run yet."""
    return None if network.last_cycle_at is None else database_now() - network.last_cycle_at


def _beat() -> Check:
    age, late = beat_age(Network.objects.get(pk=1)), settings.POLICY.cycle_late_after_seconds
    if age is None:
        return Check("beat", False, "No coordination cycle has run yet; start beat and the coordinator.")
    seconds = age.total_seconds()
    if seconds > late:
        since = f"No coordination cycle has run for {seconds:,.0f} seconds"
        return Check("beat", False, f"{since}: beat, the coordinator or Redis is down.")
    return Check("beat", True, f"The last coordination cycle ended {max(seconds, 0):.1f} seconds ago.")


def _redis() -> Check:
    try:
        broker.connection().ping()
    except redis.RedisError:
        return Check("redis", False, "Redis does not answer; jobs wait until it does, and nothing is lost.")
    return Check("redis", True, "Redis answers.")
