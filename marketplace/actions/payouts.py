"""Freezing what is paid out: verdicts are kept, and what they move waits until an operator thaws it."""

from django.db import connection, transaction

from marketplace import dispatch, notifications
from marketplace.actions.events import record
from marketplace.domain.errors import Conflict
from marketplace.models import HeldVerdict, Network, database_now

ADVISORY_LOCK = 0x636E_6670  # "cnfp"


def frozen() -> bool:
    """Whether payouts wait. To be asked in the transaction that would pay: a freeze waits for the end of it.

    On SQLite the transaction is the only writer; on PostgreSQL a lock that payouts share does it.
    """
    _lock(shared=True)
    return Network.objects.filter(pk=1).exclude(payouts_frozen_at=None).exists()


def require_thawed() -> None:
    """
    Raises:
        Conflict: payouts are frozen.
    """
    if frozen():
        raise Conflict("Payouts are frozen while the operators look into something; try again later.")


def freeze(*, actor: str, reason: str) -> bool:
    """Let no verdict pay, slash or move reputation from now on. False where they were frozen already.

    Refunds of jobs that end without a verdict go on: they give clients their own tokens back.
    """
    with transaction.atomic():
        _lock(shared=False)
        done = Network.objects.filter(pk=1, payouts_frozen_at=None).update(
            payouts_frozen_at=database_now(), payouts_frozen_by=actor, payouts_frozen_reason=reason
        )
        if done:
            record("payouts.frozen", actor=actor, reason=reason)
            notifications.changed("network")
    return bool(done)


def thaw(*, actor: str) -> int:
    """Let verdicts take effect again; the coordinator settles those that waited. Answers how many those are."""
    with transaction.atomic():
        _lock(shared=False)
        done = (
            Network.objects.filter(pk=1)
            .exclude(payouts_frozen_at=None)
            .update(payouts_frozen_at=None, payouts_frozen_by="", payouts_frozen_reason="")
        )
        waiting = HeldVerdict.objects.filter(settled_at=None).count()
        if done:
            record("payouts.thawed", actor=actor, reason=f"{waiting} verdicts waited")
            notifications.changed("network")
            dispatch.wake_coordinator()
    return waiting


def _lock(*, shared: bool) -> None:
    if connection.vendor == "postgresql":
        function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {function}(%s)", [ADVISORY_LOCK])
