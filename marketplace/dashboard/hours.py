"""The last day by hours, out of the tallies: the lines beside the first page's figures, and their table."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from marketplace.dashboard.charts_kinds import Words, sparkline
from marketplace.domain.money import to_tokens
from marketplace.models import Tally

HOURS = 24
MOST = 12 * (HOURS + 1)  # one is written every five minutes


@dataclass(frozen=True)
class Hour:
    """What happened in the hour up to `at`, and how things stood then. `success` is in percent, None without an end."""

    at: datetime
    workers: int
    active: int
    jobs: int
    verified: int
    success: float | None
    held: int  # micro-tokens


def hours() -> list[Hour]:
    """The last day's hours that a tally begins and ends, oldest first."""
    tallies = list(reversed(Tally.objects.all()[:MOST]))
    now = tallies[-1].counted_to if tallies else None
    marks: list[Tally] = []
    for back in range(HOURS, -1, -1):
        before = [each for each in tallies if now and each.counted_to <= now - timedelta(hours=back)]
        if before and (not marks or before[-1].pk != marks[-1].pk):
            marks.append(before[-1])
    return [_between(first, last) for first, last in zip(marks, marks[1:], strict=False)]


def _between(first: Tally, last: Tally) -> Hour:
    verified, failed = last.verified - first.verified, last.failed - first.failed
    return Hour(
        at=last.counted_to,
        workers=last.workers,
        active=last.active_workers,
        jobs=last.jobs - first.jobs,
        verified=verified,
        success=100 * verified / (verified + failed) if verified + failed else None,
        held=last.held,
    )


def sparks() -> dict[str, object]:
    """A line for each of the first page's figures, and the rows that they are drawn from."""
    rows = hours()
    labels = [f"{row.at:%H:%M}" for row in rows]
    series: dict[str, tuple[str, Sequence[float]]] = {
        "total_workers": ("Workers", [row.workers for row in rows]),
        "active_workers": ("Active workers", [row.active for row in rows]),
        "total_jobs": ("Jobs submitted an hour", [row.jobs for row in rows]),
        "completed_jobs": ("Jobs verified an hour", [row.verified for row in rows]),
        "success_rate": ("Success rate by hour, in percent", [row.success or 0.0 for row in rows]),
        "contract_balance": ("Tokens held", [to_tokens(row.held) for row in rows]),
    }
    lines = {}
    for name, (title, values) in series.items():
        words = Words(f"spark-{name}-line", f"{title}, last 24 hours", _description(values))
        lines[name] = sparkline(words, labels, values).svg if len(values) > 1 else ""
    return {"sparks": lines, "hours": list(reversed(rows))}


def _description(values: Sequence[float]) -> str:
    return f"From {min(values):,.6g} to {max(values):,.6g}, now {values[-1]:,.6g}." if values else "Nothing yet."
