"""Why a pending job waits, in sentences: which demand keeps which workers from it."""

from collections.abc import Sequence

from marketplace.actions.coordination import candidates
from marketplace.domain.lifecycle import AssignmentState
from marketplace.domain.matching import Demand, Waiting, waiting_reasons
from marketplace.models import Assignment, Job, Network, Worker, database_now

PLURAL = {"is": "are", "has": "have"}
NAMED = 5  # workers that a sentence names


def as_waiting(job: Job, attempts: Sequence[Assignment]) -> Waiting:
    """`job` as the choice of a worker sees it; `attempts` are the job's so far."""
    need = job.resource_class
    wrong = {str(each.worker_id) for each in attempts if each.state == AssignmentState.REJECTED.value}
    return Waiting(
        id=str(job.pk),
        demand=Demand(need.gpu_tag, need.min_memory_bytes, need.min_compute_capacity),
        reward=job.reward,
        quoted_seconds=job.quoted_seconds,
        virtual_start=job.virtual_start,
        barred=frozenset(wrong),
    )


def why_it_waits(job: Job, attempts: Sequence[Assignment]) -> list[str]:
    """What keeps each worker from `job` now, as the coordinator's own rules see it."""
    kept = waiting_reasons(as_waiting(job, attempts), candidates(database_now()))
    shown = [worker for workers in kept.values() for worker in workers[:NAMED]]
    names = {str(key): name for key, name in Worker.objects.filter(pk__in=shown).values_list("pk", "name")}
    sentences = [
        _sentence(why, len(workers), sorted(names[each] for each in workers[:NAMED] if each in names))
        for why, workers in sorted(kept.items())
    ]
    if not kept:
        sentences.append("No active worker has a machine that is enrolled.")
    network = Network.objects.filter(pk=1).first()
    if network and network.draining:
        sentences.append("The network is drained, so nothing new is given to machines.")
    if network is None or not network.coordination_active:
        sentences.append("Auto-coordination is off, so it waits for a trigger.")
    return sentences


def _sentence(why: str, count: int, names: Sequence[str]) -> str:
    said = ", ".join(names) + (f" and {count - len(names):,} more" if count > len(names) else "")
    if count == 1:
        return f"1 worker {why}: {said}."
    verb, _, rest = why.partition(" ")
    return f"{count:,} workers {PLURAL.get(verb, verb)} {rest}: {said}."
