"""Why a pending job waits, in sentences: which demand keeps which workers from it."""

from collections.abc import Sequence

from marketplace.actions.coordination import candidates, demand_of
from marketplace.domain.lifecycle import AssignmentState, JobState
from marketplace.domain.matching import Waiting, obstacle, shortfall, waiting_reasons
from marketplace.filters import chosen, gpu_name, word
from marketplace.models import Assignment, Job, Network, Worker, database_now
from workers.protocol import is_served

PLURAL = {"is": "are", "has": "have"}
NAMED = 5  # workers that a sentence names


def as_waiting(job: Job, attempts: Sequence[Assignment]) -> Waiting:
    """`job` as the choice of a worker sees it; `attempts` are the job's so far."""
    wrong = {str(each.worker_id) for each in attempts if each.state == AssignmentState.REJECTED.value}
    return Waiting(
        id=str(job.pk),
        demand=demand_of(job.resource_class),
        reward=job.reward,
        quoted_seconds=job.quoted_seconds,
        virtual_start=job.virtual_start,
        barred=frozenset(wrong),
    )


def why_it_waits(job: Job, attempts: Sequence[Assignment]) -> list[str]:
    """What keeps each worker from `job` now, as the coordinator's own rules see it."""
    kept = waiting_reasons(as_waiting(job, attempts), candidates(database_now(), {job.resource_class.audience_id}))
    shown = [worker for workers in kept.values() for worker in workers[:NAMED]]
    names = {str(key): name for key, name in Worker.objects.filter(pk__in=shown).values_list("pk", "name")}
    tag = job.resource_class.gpu_tag
    sentences = []
    for why, workers in sorted(kept.items()):
        named = sorted(names[each] for each in workers[:NAMED] if each in names)
        sentences.append(_sentence(why.replace(f"a {tag}", f"a {gpu_name(tag)}") if tag else why, len(workers), named))
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


def why_this_worker(job: Job, worker: Worker) -> list[str]:
    """Why `worker` did or did not get `job`, in sentences."""
    attempts = list(job.assignments.select_related("worker").order_by("fence"))
    own = [each for each in attempts if each.worker_id == worker.pk]
    said = [f"It got attempt {each.fence}: {chosen(each.why)}. That attempt is {word(each.state)}." for each in own]
    if own:
        return said
    for each in attempts:
        said.append(f"Attempt {each.fence} went to {each.worker.name}: {chosen(each.why)}.")
    market = candidates(database_now(), {job.resource_class.audience_id})
    found = next((each for each in market if each.id == str(worker.pk)), None)
    if found is None:
        return [*said, f"{worker.name} gets nothing now: {_why_out(worker)}."]
    waiting = as_waiting(job, attempts)
    if unmet := shortfall(waiting.demand, found):
        return [*said, f"{worker.name} could not take it: it {unmet}."]
    if job.state == JobState.PENDING.value:
        why = obstacle(waiting, found)
        return [*said, f"{worker.name} cannot take it now: it {why}." if why else f"{worker.name} can take it now."]
    return [*said, f"{worker.name} meets what it demands; when it was given, it was not its turn, or it was not free."]


def _why_out(worker: Worker) -> str:
    if not worker.is_active:
        return "it is not active"
    if why := worker.why_resting(database_now()):
        return f"it {why}"
    if worker.machine.enrolled_at and not is_served(worker.machine.protocol):
        return "its program is of a version that is not served here"
    return "no machine has enrolled for it"
