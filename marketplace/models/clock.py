"""The database's clock, the only one that counts."""

from datetime import UTC, datetime

from django.db import connection
from django.db.models import DateTimeField, Func


class DatabaseNow(Func):
    """The moment as the database reads it when it gets there, not when its transaction began.

    On SQLite it is in the form that Django stores, so that comparing as text is comparing in time.
    """

    function = "clock_timestamp"
    template = "clock_timestamp()"
    output_field = DateTimeField()

    def as_sqlite(self, compiler, connection, **extra):
        # Halved once by the template, once where parameters are put in.
        return self.as_sql(
            compiler, connection, template="strftime('%%%%Y-%%%%m-%%%%d %%%%H:%%%%M:%%%%f000', 'now')", **extra
        )


def database_now() -> datetime:
    """The database's clock, read now: call it after the locks are held."""
    if connection.vendor == "sqlite":  # embedded: this process's clock is the database's
        return datetime.now(UTC)
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]
