"""Alters a column of every table that has guards: on SQLite each is made anew, which loses its triggers."""

import pkgutil

from django.apps import apps
from django.db import migrations

from marketplace.migrations import __path__ as real
from marketplace.models.guards import guarded_tables

LAST = max(module.name for module in pkgutil.iter_modules(real))


def _alterations() -> list[migrations.AlterField]:
    made = []
    for model in apps.get_app_config("marketplace").get_models():
        if model._meta.db_table in guarded_tables():
            plain = (f for f in model._meta.local_concrete_fields if not (f.primary_key or f.is_relation or f.null))
            if field := next(plain, None):
                altered = field.clone()
                altered.null = True
                made.append(migrations.AlterField(model._meta.model_name, field.name, altered))
    return made


class Migration(migrations.Migration):
    dependencies = [("marketplace", LAST)]
    operations = _alterations()
