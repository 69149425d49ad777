"""Which job goes to which worker. Pure: the draws come in as a random generator that the caller seeded."""

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Demand:
    """What a class of jobs asks of a worker. Zero and "" ask nothing."""

    gpu_tag: str = ""
    min_memory_bytes: int = 0
    min_compute_capacity: float = 0.0


@dataclass(frozen=True)
class Candidate:
    """A worker as the choice sees it."""

    id: str
    machine: str  # whose Celery worker computes for it; its slots are shared
    gpu_tag: str
    memory_bytes: int
    compute_capacity: float  # TFLOPS
    rank: float  # the lower bound of `domain.reputation`
    exposure_left: int  # micro-tokens of open reward that its stake still covers
    free_slots: int  # of the machine
    busy: bool  # has a live assignment of its own
    online: bool
    standby: bool = False  # takes a job only where nobody else could
    recent: int = 0  # jobs it was given lately: the less, the sooner its turn


@dataclass(frozen=True)
class Waiting:
    """A pending job as the choice sees it."""

    id: str
    demand: Demand
    reward: int
    quoted_seconds: float
    virtual_start: float
    barred: frozenset[str] = frozenset()  # workers that got it wrong, or said that they cannot
    lost_by: frozenset[str] = frozenset()  # workers that had it and fell silent: last in line for it


@dataclass(frozen=True)
class Pick:
    job: str
    worker: str
    why: dict[str, float | int | str | bool] = field(default_factory=dict)


def shortfall(demand: Demand, worker: Candidate) -> str:
    """What of `demand` this worker does not meet, in words; "" where it meets all."""
    if demand.gpu_tag and demand.gpu_tag != worker.gpu_tag:
        return f"is not a {demand.gpu_tag}"
    if demand.min_memory_bytes > worker.memory_bytes:
        return "has too little memory"
    if demand.min_compute_capacity > worker.compute_capacity:
        return "has too little compute capacity"
    return ""


def obstacle(job: Waiting, worker: Candidate) -> str:
    """Why `worker` cannot take `job` now, in words; "" where it can."""
    if unmet := shortfall(job.demand, worker):
        return unmet
    if worker.id in job.barred:
        return "has tried this job before"
    if not worker.online:
        return "is silent"
    if job.reward > worker.exposure_left:
        return "has too little stake for this reward"
    if worker.busy or worker.free_slots < 1:
        return "is busy"
    return ""


def service_order(jobs: Iterable[Waiting]) -> list[Waiting]:
    """Start-time fair queueing among clients (Goyal, Vin and Cheng 1996), then reward per quoted second, then age.

    Of jobs that come in the same order, the earlier in `jobs` stays first.
    """
    return sorted(jobs, key=lambda job: (job.virtual_start, -job.reward / max(job.quoted_seconds, 1e-9)))


def virtual_start(*, network_virtual_time: float, client_virtual_finish: float) -> float:
    """The tag that a job is served by, set once at submission."""
    return max(network_virtual_time, client_virtual_finish)


def _could_ever(job: Waiting, worker: Candidate) -> bool:
    return obstacle(job, worker) in ("", "is busy")


def match(
    jobs: Sequence[Waiting], workers: Sequence[Candidate], rng: random.Random, *, newcomer_share: float
) -> list[Pick]:
    """Assign as many of `jobs` (in service order) as free `workers` allow, one job a worker.

    Among the workers that can take a job, those that have not lost it come first; then, with chance
    `newcomer_share`, any of them; else the least recently loaded, then the highest rank, then chance. A standby worker
    is left alone while any other could take the job, now or when it is free.
    """
    free = {worker.id: worker for worker in workers if not worker.busy}
    slots = Counter({worker.machine: worker.free_slots for worker in workers})
    picks: list[Pick] = []
    for job in jobs:
        if not free:
            break
        able = [w for w in free.values() if slots[w.machine] > 0 and not obstacle(job, w)]
        if any(not w.standby and _could_ever(job, w) for w in workers):
            able = [w for w in able if not w.standby]
        fresh = [w for w in able if w.id not in job.lost_by]
        able = fresh or able
        if not able:
            continue
        explored = len(able) > 1 and rng.random() < newcomer_share
        chosen = rng.choice(able) if explored else min(able, key=lambda w: (w.recent, -w.rank, rng.random()))
        picks.append(Pick(job.id, chosen.id, _why(chosen, able, explored)))
        del free[chosen.id]
        slots[chosen.machine] -= 1
    return picks


def _why(chosen: Candidate, able: Sequence[Candidate], explored: bool) -> dict[str, float | int | str | bool]:
    return {
        "able": len(able),
        "rank": round(chosen.rank, 4),
        "best_rank": round(max(w.rank for w in able), 4),
        "recent": chosen.recent,
        "by": "newcomer's share" if explored else "load, then rank",
    }


def waiting_reasons(job: Waiting, workers: Sequence[Candidate]) -> Mapping[str, int]:
    """Why a pending job waits: each obstacle, with how many workers it keeps away."""
    return Counter(obstacle(job, worker) or "is free" for worker in workers)
