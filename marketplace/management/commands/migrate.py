"""`migrate`, in one transaction: no row is ever written while the database's guards are away."""

import time

from django.core.management.base import CommandError
from django.core.management.commands.migrate import Command as Migrate
from django.db import OperationalError, connection, transaction

from marketplace.actions import sealing
from marketplace.models import guards

LOCK_TIMEOUT = "500ms"  # shorter than PostgreSQL's deadlock_timeout, so that it is never a request that gives way
TRIES = 60
PAUSE_SECONDS = 0.5


class Command(Migrate):
    help = Migrate.help
    requires_system_checks = []  # Django's own way asks the database's too, which miss the guards that this brings

    def handle(self, *args, **options):
        if options["plan"] or options["check_unapplied"]:
            return super().handle(*args, **options)
        self.check()  # without the database's
        postgres = connection.vendor == "postgresql"
        if not postgres:
            connection.disable_constraint_checking()  # as the schema editor wants it, before a transaction begins
        try:
            with transaction.atomic():
                if postgres:
                    self._lock()
                guards.drop()
                super().handle(*args, **options | {"skip_checks": True})
                if guards.create_where_tables_are():
                    sealing.note_missing()  # what was written before there was a log, or by a migration
        finally:
            if not postgres:
                connection.enable_constraint_checking()

    def _lock(self) -> None:
        """Have every guarded table to ourselves: who reads or writes one waits for the commit.

        Raises:
            CommandError: somebody else holds one for too long.
        """
        tables = sorted(guards.guarded_tables() & set(connection.introspection.table_names()))
        if not tables:
            return
        names = ", ".join(f'"{table}"' for table in tables)
        for _ in range(TRIES):
            try:
                with transaction.atomic(), connection.cursor() as cursor:
                    cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
                    cursor.execute(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE")
                    cursor.execute("SET LOCAL lock_timeout = 0")
                return
            except OperationalError as error:
                if getattr(error.__cause__, "sqlstate", None) != "55P03":  # lock_not_available
                    raise
                time.sleep(PAUSE_SECONDS)
        raise CommandError("Another transaction holds a table for very long; find it in pg_stat_activity.")

    def migration_progress_callback(self, action, migration=None, fake=False):
        super().migration_progress_callback(action, migration, fake)
        if action == "apply_start" and migration is not None and not migration.atomic:
            raise CommandError(
                f"{migration} cannot run in a transaction, and without one money could move unguarded; build what it "
                "builds beforehand, by hand, with its statements and IF NOT EXISTS."
            )
        if action in ("apply_success", "unapply_success") and connection.vendor == "postgresql":
            with connection.cursor() as cursor:  # else rows that it wrote keep the next one from altering their table
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
                cursor.execute("SET CONSTRAINTS ALL DEFERRED")
