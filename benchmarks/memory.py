"""What processes hold in memory at most, stage by stage, as Linux counts it.

The peak of the resident set (`VmHWM`) is the kernel's own and misses nothing; it is set back as a stage begins. It
counts pages of files that are mapped, and pages that other processes share. What a process holds alone and could not
be taken from it (`RssAnon`), and its proportional share (`Pss`), are looked at again and again instead.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

LOOK_SECONDS = 0.1
SHARES_EVERY = 5  # looks: adding up shares walks all pages


@dataclass
class Peak:
    """MiB of one process."""

    resident: float = 0.0
    own: float = 0.0
    share: float = 0.0

    def raise_to(self, other: "Peak") -> None:
        self.resident = max(self.resident, other.resident)
        self.own, self.share = max(self.own, other.own), max(self.share, other.share)


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return found
    return found + [each for child in children for each in family(int(child))]


def _field(path: str, name: str) -> float:
    for line in Path(path).read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    return 0.0


class Watch:
    """The peaks of processes while its `with` block runs; of a family, of the largest process in it.

    `roots` answers names and ids, asked again and again, for a process may come later.
    """

    def __init__(self, roots: Callable[[], Mapping[str, int]]) -> None:
        self._roots, self._over = roots, threading.Event()
        self.peaks: dict[str, Peak] = {}
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)

    def __enter__(self) -> "Watch":
        for pid in self._roots().values():
            for each in family(pid):
                Path(f"/proc/{each}/clear_refs").write_text("5")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._note(shares=True)

    def _look(self) -> None:
        number = 0
        while not self._over.wait(LOOK_SECONDS):
            self._note(shares=number % SHARES_EVERY == 0)
            number += 1

    def _note(self, *, shares: bool) -> None:
        for name, root in self._roots().items():
            for pid in family(root):
                try:
                    status = f"/proc/{pid}/status"
                    found = Peak(_field(status, "VmHWM"), _field(status, "RssAnon"))
                    if shares:
                        found.share = _field(f"/proc/{pid}/smaps_rollup", "Pss")
                except (FileNotFoundError, ProcessLookupError):  # it ended just now
                    continue
                self.peaks.setdefault(name, Peak()).raise_to(found)
