"""Which job goes to which worker: fair among clients by what they asked, fair among workers by what they have shown.

Both sides use start-time fair queueing (Goyal, Vin and Cheng 1996): a tag that grows with the service had, divided by
a weight, and never lags behind the network's, so that nobody saves up turns by staying away. Pure: the draws that break
ties come from a random generator that the caller seeded.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

LEAST_SERVICE_SECONDS = 0.1  # what a job counts for at least, in both queues
MOST_EXPOSURE = 2**62  # micro-tokens; more than there can be, and it fits 64 bits

Mask = NDArray[np.bool_]

# What keeps a worker from a job, after "it", in the order in which it is looked for; after the first, `no_gpu`.
NOT_A_RECEIVER = "is not among those that may receive the data"
TOO_LITTLE_MEMORY = "has too little memory"
TOO_SLOW = "has too little compute capacity"
WAS_WRONG = "got this job wrong"
SILENT = "is silent"
TOO_LITTLE_STAKE = "has too little stake for this reward"
BUSY = "is busy"


def no_gpu(gpu_tag: str) -> str:
    """What keeps a worker of another GPU away."""
    return f"has no {gpu_tag}"


@dataclass(frozen=True)
class Demand:
    """What a class of jobs asks of a worker. Zero, "" and None ask nothing."""

    gpu_tag: str = ""
    min_memory_bytes: int = 0
    min_compute_capacity: float = 0.0
    audience: int | None = None  # whose members alone may receive the data


@dataclass(frozen=True)
class Candidate:
    """A worker as the choice sees it."""

    id: str
    machine: str  # whose Celery worker computes for it; its slots are shared
    gpu_tag: str
    memory_bytes: int
    compute_capacity: float  # TFLOPS, as claimed
    rank: float  # the lower bound of `domain.reputation`, 0 to 1
    exposure_left: int  # micro-tokens of open reward that its stake still covers
    free_slots: int  # of the machine
    busy: bool  # has a live assignment of its own
    online: bool
    standby: bool = False  # takes a job only where nobody else could
    virtual_finish: float = 0.0  # where its turn comes, in seconds of service over its weight
    measured_rate: float | None = None  # TFLOPS
    claim_doubted: bool = False
    audiences: frozenset[int] = frozenset()  # that it is in, of those that were asked about

    @property
    def believed_capacity(self) -> float:
        """TFLOPS: what it claims; once that is in doubt, what it has shown."""
        return (self.measured_rate or 0.0) if self.claim_doubted else self.compute_capacity


@dataclass(frozen=True)
class Waiting:
    """A pending job as the choice sees it."""

    id: str
    demand: Demand
    reward: int
    quoted_seconds: float
    virtual_start: float
    barred: frozenset[str] = frozenset()  # workers that got it wrong
    tried_by: frozenset[str] = frozenset()  # workers that had it and brought nothing: they get it where no other could


@dataclass(frozen=True)
class Pick:
    job: str
    worker: str
    worker_virtual_finish: float  # the worker's new one
    why: dict[str, float | int | str | bool] = field(default_factory=dict)


def shortfall(demand: Demand, worker: Candidate) -> str:
    """What of `demand` this worker does not meet, in words; "" where it meets all."""
    if demand.audience is not None and demand.audience not in worker.audiences:
        return NOT_A_RECEIVER
    if demand.gpu_tag and demand.gpu_tag != worker.gpu_tag:
        return no_gpu(demand.gpu_tag)
    if demand.min_memory_bytes > worker.memory_bytes:
        return TOO_LITTLE_MEMORY
    if demand.min_compute_capacity > worker.believed_capacity:
        return TOO_SLOW
    return ""


def obstacle(job: Waiting, worker: Candidate) -> str:
    """Why `worker` cannot take `job` now, in words; "" where it can."""
    if unmet := shortfall(job.demand, worker):
        return unmet
    if worker.id in job.barred:
        return WAS_WRONG
    if not worker.online:
        return SILENT
    if job.reward > worker.exposure_left:
        return TOO_LITTLE_STAKE
    if worker.busy or worker.free_slots < 1:
        return BUSY
    return ""


def service_order(jobs: Iterable[Waiting]) -> list[Waiting]:
    """By fair queueing's tag, then reward per quoted second; of equals, the earlier in `jobs` stays first."""
    return sorted(jobs, key=lambda job: (job.virtual_start, -job.reward / max(job.quoted_seconds, 1e-9)))


def virtual_start(*, virtual_time: float, virtual_finish: float) -> float:
    """The tag that a job (of its client) or a worker (of its turn) is served by."""
    return max(virtual_time, virtual_finish)


def weight(rank: float, newcomer_share: float) -> float:
    """How much of the work a worker of this rank gets: a newcomer `newcomer_share` of what the best one gets."""
    return newcomer_share + (1.0 - newcomer_share) * rank


class _Field:
    """The workers as columns of numbers: a job is matched by as many operations on arrays however many they are."""

    def __init__(self, workers: Sequence[Candidate], rng: random.Random) -> None:
        self.workers = workers
        self.place = {worker.id: i for i, worker in enumerate(workers)}
        self.online = np.array([worker.online for worker in workers], bool)
        self.exposure = np.array([min(worker.exposure_left, MOST_EXPOSURE) for worker in workers], np.int64)
        self.standby = np.array([worker.standby for worker in workers], np.int8)
        self.finish = np.array([worker.virtual_finish for worker in workers], float)
        self.rank = np.array([worker.rank for worker in workers], float)
        self.rate = np.array([worker.measured_rate or 0.0 for worker in workers], float)
        self.draw = np.array([rng.random() for _ in workers], float)
        machines = {machine: i for i, machine in enumerate(dict.fromkeys(worker.machine for worker in workers))}
        self.machine = np.array([machines[worker.machine] for worker in workers], int)
        self.slots = {machines[worker.machine]: worker.free_slots for worker in workers}
        # Free to take a job in this match; who is picked is not any more.
        self.free = np.array([not worker.busy and worker.free_slots > 0 for worker in workers], bool)
        self._meets: dict[Demand, Mask] = {}

    def meets(self, demand: Demand) -> Mask:
        """Who is there and has what `demand` asks for."""
        if demand not in self._meets:
            fit = np.array([not shortfall(demand, worker) for worker in self.workers], bool)
            self._meets[demand] = fit & self.online
        return self._meets[demand]

    def able(self, job: Waiting) -> NDArray[np.intp]:
        """Of the first choices for `job`, the places of those that are free.

        First choices are the least reluctant of all who could take it, now or when they are free: one that had the
        job before is less eager than one that had not, and one that stands by less than either.
        """
        could = self.meets(job.demand) & (self.exposure >= job.reward)
        could[self._places(job.barred)] = False
        reluctance = 2 * self.standby
        reluctance[self._places(job.tried_by)] += 1
        if not could.any():
            return np.array([], np.intp)
        return np.flatnonzero(could & (reluctance == reluctance[could].min()) & self.free)

    def take(self, i: int) -> None:
        self.free[i] = False
        machine = int(self.machine[i])
        self.slots[machine] -= 1
        if not self.slots[machine]:
            self.free[self.machine == machine] = False

    def _places(self, ids: Iterable[str]) -> list[int]:
        return [self.place[each] for each in ids if each in self.place]


def match(
    jobs: Sequence[Waiting],
    workers: Sequence[Candidate],
    rng: random.Random,
    *,
    virtual_time: float,
    newcomer_share: float,
) -> tuple[list[Pick], float]:
    """Assign as many of `jobs` (in service order) as free `workers` allow, one job a worker.

    A job goes to the one of its first choices whose turn it is; rank, then the measured rate, then chance break ties.
    While all of its first choices are busy, it waits for them.

    Returns:
        the picks, and the workers' virtual time after them.
    """
    picks: list[Pick] = []
    if not jobs or not workers:
        return picks, virtual_time
    at = _Field(workers, rng)
    for job in jobs:
        if not at.free.any():
            break
        able = at.able(job)
        if not able.size:
            continue
        turns = np.maximum(at.finish[able], virtual_time)
        first = able[turns == turns.min()]
        for better in (at.rank, at.rate, at.draw):
            first = first[better[first] == better[first].max()]
        i = int(first[0])
        chosen, virtual_time = workers[i], float(turns.min())
        served = max(job.quoted_seconds, LEAST_SERVICE_SECONDS) / weight(chosen.rank, newcomer_share)
        why = _why(chosen, len(able), float(at.rank[able].max()), virtual_time)
        picks.append(Pick(job.id, chosen.id, virtual_time + served, why))
        at.take(i)
    return picks, virtual_time


def _why(chosen: Candidate, able: int, best_rank: float, turn: float) -> dict[str, float | int | str | bool]:
    return {
        "able": able,
        "rank": round(chosen.rank, 4),
        "best_rank": round(best_rank, 4),
        "measured_rate": round(chosen.measured_rate or 0.0, 4),
        "turn": round(turn, 3),
        "standby": chosen.standby,
    }
