"""The lock under which jobs are assigned. On SQLite a transaction is the only writer anyway."""

from django.db import connection

ADVISORY_LOCK = 0x636E_6574  # "cnet": one coordinator assigns at a time


def try_assigning() -> bool:
    """Whether this coordinator may assign in this transaction; False while another one does."""
    if connection.vendor == "sqlite":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [ADVISORY_LOCK])
        return cursor.fetchone()[0]


def keep_assigning_out() -> None:
    """No job is assigned beside the rest of this transaction. Wake the coordinator after it: it may have come by."""
    if connection.vendor != "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ADVISORY_LOCK])
