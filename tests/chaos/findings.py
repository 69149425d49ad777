"""What a run found: one table at the end, and whether everything held."""

import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Row:
    """One kind of fault. `resumes` are seconds; `problems` make the verdict."""

    count: int = 0
    resumes: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    note: str = ""
    skipped: bool = False

    @property
    def verdict(self) -> str:
        return "FAILED" if self.problems else "skipped" if self.skipped else "held"

    def as_json(self, kind: str) -> dict[str, Any]:
        return {
            "fault": kind,
            "count": self.count,
            "worst_resume_seconds": round(max(self.resumes), 3) if self.resumes else None,
            "median_resume_seconds": round(statistics.median(self.resumes), 3) if self.resumes else None,
            "verdict": self.verdict,
            "note": self.note,
            "problems": self.problems,
        }


class Findings:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rows: dict[str, Row] = {}
        self._began_at = time.monotonic()

    def __getitem__(self, kind: str) -> Row:
        return self.rows.setdefault(kind, Row())

    def skip(self, kind: str, why: str) -> None:
        self[kind].skipped, self[kind].note = True, why

    def blame(self, kind: str, problems: Sequence[str]) -> None:
        """Note what did not hold, each sentence once."""
        for problem in problems:
            if problem not in self[kind].problems:
                self[kind].problems.append(problem)
                self.say(f"DID NOT HOLD: {kind}: {problem}")

    def say(self, line: str) -> None:
        """Progress, for who watches."""
        print(f"[{time.monotonic() - self._began_at:6.1f} s] {line}", file=sys.stderr, flush=True)

    @property
    def ok(self) -> bool:
        return bool(self.rows) and not any(row.problems for row in self.rows.values())

    def table(self) -> str:
        lines = [f"{'fault':<44} {'count':>7} {'median':>8} {'worst':>8}  verdict"]
        for kind, row in self.rows.items():
            resumes = [statistics.median(row.resumes), max(row.resumes)] if row.resumes else []
            shown = [f"{seconds:.1f} s" for seconds in resumes] or ["", ""]
            tail = f" ({row.note})" if row.note else ""
            lines.append(f"{kind:<44} {row.count:>7,} {shown[0]:>8} {shown[1]:>8}  {row.verdict}{tail}")
            lines += [f"    {problem}" for problem in row.problems[:5]]
        lines.append(
            f"Seed {self.seed}, {time.monotonic() - self._began_at:.0f} s: "
            + ("everything held." if self.ok else "NOT everything held.")
        )
        return "\n".join(lines)

    def as_json(self) -> str:
        rows = [row.as_json(kind) for kind, row in self.rows.items()]
        seconds = round(time.monotonic() - self._began_at, 1)
        return json.dumps({"ok": self.ok, "seed": self.seed, "seconds": seconds, "faults": rows})
