"""When a worker takes jobs: a week of hours, as its owner writes them."""

import re
from dataclasses import dataclass
from datetime import datetime

from marketplace.domain.errors import Refused

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LONGEST = 200  # characters
DAY_MINUTES = 24 * 60
_SPAN = re.compile(r"(?:([a-z]{3})(?:-([a-z]{3}))? +)?(\d{1,2}):(\d{2}) *- *(\d{1,2}):(\d{2})")


@dataclass(frozen=True)
class Span:
    """On each of `days` (0 is Monday) from `start` on for `length` minutes, over midnight if need be."""

    days: frozenset[int]
    start: int
    length: int


def parse(text: str) -> tuple[Span, ...]:
    """Read ``mon-fri 18:00-08:00, sat-sun 00:00-24:00``; without days, a span is of every day. Empty means always.

    Raises:
        Refused: not such a text.
    """
    if len(text) > LONGEST:
        raise Refused(f"schedule must have at most {LONGEST} characters.")
    return tuple(_span(each.strip().lower()) for each in text.split(",")) if text.strip() else ()


def is_open(spans: tuple[Span, ...], local: datetime) -> bool:
    """Does one of `spans` (or none at all, which is always) hold the moment `local`, by the owner's clock?"""
    minute = local.hour * 60 + local.minute
    today, yesterday = local.weekday(), (local.weekday() - 1) % 7
    return not spans or any(
        (today in span.days and span.start <= minute < span.start + span.length)
        or (yesterday in span.days and minute + DAY_MINUTES < span.start + span.length)
        for span in spans
    )


def _span(text: str) -> Span:
    found = _SPAN.fullmatch(text)
    wrong = Refused(f'schedule must read like "mon-fri 18:00-08:00, sat-sun 00:00-24:00", and "{text[:40]}" does not.')
    if found is None:
        raise wrong
    first, last = found[1] or "mon", found[2] or found[1] or "sun"
    start_hour, start_minute, end_hour, end_minute = (int(found[i]) for i in (3, 4, 5, 6))
    start, end = start_hour * 60 + start_minute, end_hour * 60 + end_minute
    if first not in DAYS or last not in DAYS or max(start_minute, end_minute) > 59:
        raise wrong
    if start >= DAY_MINUTES or end > DAY_MINUTES:
        raise wrong
    count = (DAYS.index(last) - DAYS.index(first)) % 7 + 1
    days = frozenset((DAYS.index(first) + i) % 7 for i in range(count))
    return Span(days, start, (end - start) % DAY_MINUTES or DAY_MINUTES)
