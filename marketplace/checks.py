"""System checks: the database's guards, at `check --database default`; what Redis lets us do, at `check --deploy`."""

import redis
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connection

from marketplace import broker
from marketplace.models import guards


@register(Tags.database)
def guards_are_in_place(app_configs, databases=None, **kwargs):
    if not databases or "marketplace_account" not in connection.introspection.table_names():
        return []
    return [
        Error(text, hint="Run `python manage.py migrate`, which makes them again.", id="marketplace.E001")
        for text in guards.differences()
    ]


@register(Tags.security, deploy=True)
def redis_is_the_coordinators(app_configs, **kwargs) -> list[CheckMessage]:
    """Nothing is said of a Redis that does not answer: it may be up when the network is."""
    try:
        user = broker.connection().execute_command("ACL", "WHOAMI")
    except redis.ResponseError:
        user = b""
    except redis.RedisError:
        return []
    found: list[CheckMessage] = []
    if user in (b"default", "default"):
        hint = "Make a user of its own, switch `default` off, and name the user in REDIS_URL."
        found.append(Warning("The coordinator uses Redis's default user.", hint=hint, id="marketplace.W002"))
    if not settings.PUBLIC_BROKER_URL or not broker.makes_users():
        hint = "Set PUBLIC_BROKER_URL, and use a Redis that allows the coordinator's user `ACL SETUSER`."
        text = "Workers hear of their jobs with their heartbeats, over HTTPS: there is no Redis that they may use."
        found.append(Warning(text, hint=f"{hint} It works without, a heartbeat later.", id="marketplace.W001"))
    return found
