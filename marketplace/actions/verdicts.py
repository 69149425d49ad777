"""Checks as rows: what settling an answer keeps of one, and checking it again too."""

from typing import Any

from workers.catalog.base import Check


def verdict_columns(check: Check, secret: int, seconds: float) -> dict[str, Any]:
    """A check as a row keeps it, with the randomness that it used and what it took."""

    def number(value: float) -> float | None:
        return value if abs(value) < float("inf") else None  # neither NaN nor an infinity goes into JSON

    return {
        "outcome": check.verdict,
        "method": check.method,
        "reason": check.reason,
        "fault": check.fault,
        "measured": number(check.measured),
        "tolerance": number(check.tolerance),
        "bound": check.bound,
        "error_chance": check.error_chance,
        "detail": {name: number(value) for name, value in check.detail.items()},
        "seed": f"{secret:032x}",
        "seconds": seconds,
    }
