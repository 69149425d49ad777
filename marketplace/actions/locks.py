"""The locks under which jobs are assigned and the log is sealed. On SQLite a transaction is the only writer anyway."""

from collections.abc import Iterable
from uuid import UUID

from django.db import connection

ADVISORY_LOCK = 0x636E_6574  # "cnet": one coordinator assigns at a time
SEALING_LOCK = 0x6C6F_6773  # "logs": one sealer numbers leaves at a time

MATRIX_LOCK = 0x6D_6174  # "mat": with a matrix's number
MACHINE_LOCK = 0x6D_6163  # "mac": with a machine's number


def try_assigning() -> bool:
    """Whether this coordinator may assign in this transaction; False while another one does."""
    return _try(ADVISORY_LOCK)


def try_sealing() -> bool:
    """Whether this sealer may number leaves in this transaction; False while another one does."""
    return _try(SEALING_LOCK)


def _try(lock: int) -> bool:
    if connection.vendor == "sqlite":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [lock])
        return cursor.fetchone()[0]


def keep_sealing_out() -> None:
    """No row is sealed beside the rest of this transaction."""
    if connection.vendor != "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SEALING_LOCK])


def hold_matrix(sha256: str) -> None:
    """Until this transaction ends, nobody else keeps or deletes the file of this matrix, which datasets may share.

    Nor is a copy of it given to a machine, or called back.
    """
    _hold(MATRIX_LOCK, int(sha256[:7], 16))


def hold_machines(machines: Iterable[UUID]) -> None:
    """Until this transaction ends, none of these machines is given a copy of a matrix, or asked to drop what it may not
    receive any more, by anybody else. Who holds a matrix too does so first."""
    for number in sorted({machine.int >> 100 for machine in machines}):
        _hold(MACHINE_LOCK, number)


def _hold(lock: int, number: int) -> None:
    if connection.vendor != "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [lock, number])


def keep_assigning_out() -> None:
    """No job is assigned beside the rest of this transaction. Wake the coordinator after it: it may have come by."""
    if connection.vendor != "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ADVISORY_LOCK])
