"""System checks: the database's guards, at `check --database default`."""

from django.core.checks import Error, Tags, register
from django.db import connection

from marketplace.models import guards


@register(Tags.database)
def guards_are_in_place(app_configs, databases=None, **kwargs):
    if not databases or "marketplace_account" not in connection.introspection.table_names():
        return []
    return [
        Error(text, hint="Run `python manage.py migrate`, which makes them again.", id="marketplace.E001")
        for text in guards.differences()
    ]
