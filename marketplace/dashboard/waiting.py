"""Why a pending job waits, in sentences."""

from collections.abc import Sequence

from marketplace.actions.coordination import candidates
from marketplace.domain.lifecycle import AssignmentState
from marketplace.domain.matching import Demand, Waiting, waiting_reasons
from marketplace.models import Assignment, Job, Network, database_now

PLURAL = {"is": "are", "has": "have"}


def why_it_waits(job: Job, attempts: Sequence[Assignment]) -> list[str]:
    """What keeps each worker from `job` now, as the coordinator's own rules see it; `attempts` are the job's so far."""
    need = job.resource_class
    wrong = {str(each.worker_id) for each in attempts if each.state == AssignmentState.REJECTED.value}
    waiting = Waiting(
        id=str(job.pk),
        demand=Demand(need.gpu_tag, need.min_memory_bytes, need.min_compute_capacity),
        reward=job.reward,
        quoted_seconds=job.quoted_seconds,
        virtual_start=job.virtual_start,
        barred=frozenset(wrong),
    )
    reasons = waiting_reasons(waiting, candidates(database_now()))
    sentences = [_sentence(obstacle, count) for obstacle, count in sorted(reasons.items())]
    if not reasons:
        sentences.append("No active worker has a machine that is enrolled.")
    if not Network.objects.filter(coordination_active=True).exists():
        sentences.append("Auto-coordination is off, so it waits for a trigger.")
    return sentences


def _sentence(obstacle: str, count: int) -> str:
    if count == 1:
        return f"1 worker {obstacle}."
    verb, _, rest = obstacle.partition(" ")
    return f"{count} workers {PLURAL.get(verb, verb)} {rest}."
