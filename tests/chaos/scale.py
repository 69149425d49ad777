"""How much of everything: the full size by default, all of it smaller by one factor."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self


@dataclass(frozen=True)
class Scale:
    """The full size. `CHAOS_SCALE` is the factor; `CHAOS_JOBS`, `CHAOS_KILLS` and so on set one number by itself."""

    transfers: int = 200_000
    crashes: int = 20  # of PostgreSQL, during the transfers
    jobs: int = 2_000
    kills: int = 200  # of workers, web, coordinator, verifier and beat, by SIGKILL
    wipes: int = 20  # of Redis
    rarer: int = 5  # of each other fault: restarts of Redis and PostgreSQL, crashes, killed children, frozen workers
    freezes: int = 20  # races of a late answer, with a frozen process
    away_workers: int = 10
    away_seconds: int = 60

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ, factor: float | None = None) -> Self:
        """
        Raises:
            ValueError: a value that is no number, or a factor outside (0, 1].
        """
        factor = float(environment.get("CHAOS_SCALE") or 1) if factor is None else factor
        if not 0 < factor <= 1:
            raise ValueError("CHAOS_SCALE must be more than 0 and at most 1.")
        least = {"transfers": 400, "kills": 5, "crashes": 2, "jobs": 40, "away_workers": 2, "away_seconds": 9}
        given = {}
        for each in fields(cls):
            usual = max(least.get(each.name, 1), round(factor * int(str(each.default))))
            given[each.name] = int(environment.get(f"CHAOS_{each.name.upper()}") or usual)
        return cls(**given)
