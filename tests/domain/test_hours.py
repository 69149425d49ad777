"""A worker's week of hours."""

from datetime import datetime

import pytest

from marketplace.domain.errors import Refused
from marketplace.domain.hours import is_open, parse

MONDAY, SATURDAY, SUNDAY = 2, 7, 8  # of June 2025


def at(day: int, clock: str) -> datetime:
    hour, minute = clock.split(":")
    return datetime(2025, 6, day, int(hour), int(minute))


@pytest.mark.parametrize(
    ("schedule", "day", "clock", "expected"),
    [
        ("", MONDAY, "12:00", True),
        ("18:00-08:00", MONDAY, "17:59", False),
        ("18:00-08:00", MONDAY, "18:00", True),
        ("18:00-08:00", MONDAY, "07:59", True),
        ("18:00-08:00", MONDAY, "08:00", False),
        ("mon-fri 18:00-08:00", MONDAY, "03:00", False),  # Sunday's night is not among them
        ("mon-fri 18:00-08:00", SATURDAY, "03:00", True),  # Friday's is
        ("mon-fri 18:00-08:00, sat-sun 00:00-24:00", SUNDAY, "12:00", True),
        ("sat-mon 09:00-10:00", SUNDAY, "09:30", True),
        ("sat-mon 09:00-10:00", SUNDAY, "10:00", False),
        ("Sun 0:00-0:00", SUNDAY, "23:59", True),
        ("sun 00:00-24:00", MONDAY, "00:00", False),
    ],
)
def test_a_schedule_is_open_at_its_hours_and_over_midnight(schedule: str, day: int, clock: str, expected: bool) -> None:
    assert is_open(parse(schedule), at(day, clock)) is expected


@pytest.mark.parametrize(
    "text", ["night", "25:00-26:00", "24:00-01:00", "09:60-10:00", "xyz 09:00-10:00", "9-10", ",", "a" * 201]
)
def test_what_is_no_schedule_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(Refused, match="schedule must"):
        parse(text)
