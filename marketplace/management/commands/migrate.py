"""`migrate`, with the database's guards out of the way while it works and made again after."""

from django.core.management.commands.migrate import Command as Migrate

from marketplace.actions import sealing
from marketplace.models import guards


class Command(Migrate):
    help = Migrate.help

    def handle(self, *args, **options):
        changes = not (options["plan"] or options["check_unapplied"])
        if changes:
            self.check()  # without the database's checks, which would miss the guards
            guards.drop()
        try:
            super().handle(*args, **options | {"skip_checks": True})
        finally:
            if changes and guards.create_where_tables_are():
                sealing.note_missing()  # what was written before there was a log, or while the guards were away
