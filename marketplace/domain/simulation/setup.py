"""What a simulated market starts from, and what it counts."""

from dataclasses import dataclass

from marketplace.domain.lifecycle import JobState
from marketplace.domain.matching import Waiting
from marketplace.domain.simulation.agents import Strategy


@dataclass(frozen=True)
class Setup:
    """One market. Durations in seconds of the virtual clock; shares from 0 to 1."""

    strategy: Strategy
    jobs: int = 1000
    workers: int = 40
    cheaters: float = 0.2  # the share of the workers that follows `strategy`; at least one does
    load: float = 0.8  # the work that arrives, over what all workers could do
    clients: int = 8
    energy_rate: float = 2.0  # tokens per second of computing
    ring_share: float = 0.05  # of the jobs: submitted on top of them by a ring's client
    return_after: float = 60.0  # what it takes to come back under a new name
    leave_below: float = 60.0  # the score at which a whitewasher leaves
    seconds_median: float = 12.0  # quoted, of a job; log-normal, cut off at both ends
    seconds_sigma: float = 0.8
    seconds_range: tuple[float, float] = (1.0, 80.0)

    @property
    def cheating(self) -> int:
        return max(1, round(self.workers * self.cheaters))


@dataclass
class Client:
    wallet: int
    ring: bool = False
    virtual_finish: float = 0.0


@dataclass(eq=False)
class SimulatedJob:
    id: str
    model: str
    client: Client
    escrow: int  # account
    reward: int  # micro-tokens
    waiting: Waiting
    state: JobState = JobState.PENDING
    attempt: int = 0


@dataclass
class Totals:
    """Seconds of work, and how jobs ended."""

    computing: float = 0.0
    checking: float = 0.0
    verified: int = 0
    failed: int = 0
    cancelled: int = 0
    attempts: int = 0
