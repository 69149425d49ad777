"""One thing that a measurement has to show."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """It holds where `measured` is at most `allowed`; `unit` says what both are in, or why."""

    name: str
    measured: float
    allowed: float
    unit: str = ""

    @property
    def holds(self) -> bool:
        return self.measured <= self.allowed

    def __str__(self) -> str:
        verdict = "holds" if self.holds else "FAILS"
        return f"{verdict}  {self.name}: {self.measured:.3g}, at most {self.allowed:.3g} {self.unit}".rstrip()
