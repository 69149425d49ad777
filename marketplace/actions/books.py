"""Asking whether the books add up: by time, and by an operator's word. The coordinator replays; no request waits."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet

from marketplace import dispatch, notifications
from marketplace.actions.audit import audit
from marketplace.actions.events import record
from marketplace.domain.errors import Conflict
from marketplace.models import BooksCheck, Network, database_now

KEPT = 100
SHOWN_PROBLEMS = 20
SEND_AGAIN = timedelta(minutes=10)


def newest() -> BooksCheck | None:
    """The newest answer."""
    return BooksCheck.objects.exclude(checked_at=None).first()


def ask(*, actor: str) -> BooksCheck:
    """Have the ledger replayed as soon as this is committed.

    Raises:
        Conflict: it is being replayed already.
    """
    with transaction.atomic():
        Network.objects.select_for_update(no_key=True).get(pk=1)  # of two that ask at once, one does
        if BooksCheck.objects.filter(checked_at=None).exists():
            raise Conflict("The books are being checked already; the answer is here in a moment.")
        row = BooksCheck.objects.create(asked_by=actor, sent_at=database_now())
        record("books.asked", actor=actor)
        transaction.on_commit(lambda: dispatch.check_books_now(row.pk))
    return row


def ask_due() -> None:
    """What a cycle does: ask where it is time, and send again what was lost."""
    now = database_now()
    last = BooksCheck.objects.first()
    if last is None or (
        last.checked_at and now - last.checked_at >= timedelta(seconds=settings.POLICY.books_check_seconds)
    ):
        with suppress(Conflict):  # another coordinator asked meanwhile; this cycle has more to do
            ask(actor="coordinator")
    elif last.checked_at is None and last.sent_at and now - last.sent_at >= SEND_AGAIN:
        BooksCheck.objects.filter(pk=last.pk).update(sent_at=now)
        dispatch.check_books_now(last.pk)


def checked_of_late(now: datetime) -> QuerySet[BooksCheck]:
    """While the newest is one of these, nothing is to be asked."""
    return BooksCheck.objects.filter(checked_at__gt=now - timedelta(seconds=settings.POLICY.books_check_seconds))


def unanswered() -> QuerySet[BooksCheck]:
    return BooksCheck.objects.filter(checked_at=None)


def check(*, row: int) -> None:
    """Replay the ledger as it is at one moment, and write down what came of it."""
    if not BooksCheck.objects.filter(pk=row, checked_at=None).exists():
        return
    began = time.monotonic()
    with one_moment():
        found = audit()
    BooksCheck.objects.filter(pk=row, checked_at=None).update(
        checked_at=database_now(),
        seconds=time.monotonic() - began,
        transfers=found.transfers,
        accounts=found.accounts,
        by_kind=found.by_kind,
        problems=found.problems[:SHOWN_PROBLEMS],
        problem_count=len(found.problems),
    )
    BooksCheck.objects.filter(pk__lte=row - KEPT).delete()
    notifications.changed("network")


@contextmanager
def one_moment() -> Iterator[None]:
    """Reads in it see the database as it is now, whatever is committed meanwhile; they keep no writer waiting.

    (`transaction.atomic` would do neither: on SQLite it takes the write lock, on PostgreSQL each statement sees anew.)
    """
    if connection.in_atomic_block:
        yield
        return
    postgres = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" if postgres else "BEGIN DEFERRED")
        try:
            yield
        finally:
            cursor.execute("ROLLBACK")
