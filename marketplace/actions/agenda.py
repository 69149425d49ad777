"""What a cycle finds to do: one statement asks for everything, so that an idle network costs next to nothing.

A question may find too much and never too little: the step that it leads to looks for itself.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, cast

from django.conf import settings
from django.db import connection
from django.db.models import BooleanField, DateTimeField, Exists, Expression, ExpressionWrapper, Q

from marketplace.actions import (
    books,
    challenges,
    expiry,
    grants,
    making,
    notices,
    once,
    reading,
    records,
    reverification,
    settlement,
    stakes,
    tallies,
    uploads,
)
from marketplace.domain.lifecycle import JobState
from marketplace.models import Job, Network

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


class Moment(Expression):
    """A time so long before one that is known only when the statement runs."""

    output_field = DateTimeField()

    def __init__(self, name: str, before: timedelta = timedelta()) -> None:
        super().__init__()
        self.name, self.before = name, before

    def __sub__(self, other: Any) -> Any:
        return Moment(self.name, self.before + other)

    def as_sql(self, compiler, connection):
        return "%s", [self]

    def value(self, moments: dict[str, datetime]) -> Any:
        return connection.ops.adapt_datetimefield_value(moments[self.name] - self.before)


def look(now: datetime, previous: datetime | None) -> dict[str, bool]:
    """Whether there may be something to do, of each kind by its name. `previous` is when the last cycle ended."""
    names, sql, parameters = _statement(connection.vendor, settings.POLICY, f"{now.astimezone(UTC):%Y-%m}")
    moments = {"now": now, "previous": previous or EARLIEST}
    with connection.cursor() as cursor:
        cursor.execute(sql, [each.value(moments) if isinstance(each, Moment) else each for each in parameters])
        due = {name: bool(yes) for name, yes in zip(names, cursor.fetchone(), strict=True)}
    due["notices"] |= notices.stood_still(now, previous)
    return due


@lru_cache(maxsize=4)
def _statement(vendor: str, policy: Any, month: str) -> tuple[tuple[str, ...], str, tuple[Any, ...]]:
    """The questions' names, and the statement that asks them, which Django takes longer to write than others to answer.

    Its parameters hold a `Moment` for each time. It is another one for another engine, policy or month.
    """
    asked = _questions(cast(datetime, Moment("now")), cast(datetime, Moment("previous")), month)
    columns = {name: ExpressionWrapper(Q(what), BooleanField()) for name, what in asked.items()}
    sql, parameters = Network.objects.filter(pk=1).values(**columns).query.sql_with_params()
    return tuple(asked), sql, parameters


def _questions(now: datetime, previous: datetime, month: str) -> dict[str, Any]:
    return {
        "leases": Exists(expiry.expired(now)),
        "deadlines": Exists(expiry.past_deadline(now)),
        "unbondings": Exists(stakes.due(now)),
        "grants": Exists(grants.due(month)),
        "held_verdicts": Exists(settlement.held()),
        "reverifications": Exists(reverification.waiting(now)),
        "jobs": Exists(Job.objects.filter(state=JobState.PENDING.value)),
        "challenges": Exists(challenges.lapsed(now)),
        "keys": Exists(once.old(now)),
        "tally": ~Exists(tallies.recent(now)),
        "records": Exists(records.ended_since(previous)) | Exists(records.uncounted()),
        "uploads": Exists(reading.unheard(uploads.being_read(), now)),
        "matrices": Exists(reading.unheard(making.being_made(), now)),
        "books": ~Exists(books.checked_of_late(now)) | Exists(books.unanswered()),
        "notices": ~Exists(notices.scanned_of_late(now)) | Exists(notices.unsent(now)),
        "lost": Exists(expiry.lost(now)),
        "unsettled": Exists(expiry.unsettled(now)),
    }
