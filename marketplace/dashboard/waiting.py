"""Why a pending job waits, in sentences: which demand keeps which workers from it."""

from collections.abc import Mapping, Sequence

from marketplace.actions import audiences
from marketplace.actions.coordination import demand_of
from marketplace.actions.obstacles import Asked, obstacle_to, obstacles
from marketplace.domain import matching
from marketplace.domain.lifecycle import AssignmentState, JobState
from marketplace.domain.words import counted
from marketplace.filters import chosen, gpu_name, word
from marketplace.models import Assignment, Job, Network, Worker, database_now
from workers.protocol import is_served

PLURAL = {"is": "are", "has": "have"}
NAMED = 5  # workers that a sentence names


def _asked(job: Job, attempts: Sequence[Assignment]) -> Asked:
    """`job` as `obstacles` asks about it now; `attempts` are the job's so far."""
    demand = demand_of(job.resource_class)
    among = None if demand.audience is None else audiences.members_of(demand.audience)
    wrong = {each.worker_id for each in attempts if each.state == AssignmentState.REJECTED.value}
    return Asked(demand, job.reward, database_now(), among, wrong)


def why_it_waits(job: Job, attempts: Sequence[Assignment]) -> list[str]:
    """What keeps each worker from `job` now, as the coordinator's own rules see it."""
    kept = obstacles(_asked(job, attempts), named=NAMED)
    named = {why: list(each.named) for why, each in kept.items()}
    sentences = obstacle_sentences({why: each.count for why, each in kept.items()}, job.resource_class.gpu_tag, named)
    if not kept:
        sentences.append("No active worker has a machine that is enrolled.")
    network = Network.objects.filter(pk=1).first()
    if network and network.draining:
        sentences.append("The network is drained, so nothing new is given to machines.")
    if network is None or not network.coordination_active:
        sentences.append("Auto-coordination is off, so it waits for a trigger.")
    return sentences


def obstacle_sentences(
    counts: Mapping[str, int], gpu_tag: str, named: Mapping[str, Sequence[str]] | None = None
) -> list[str]:
    """A sentence for each obstacle, with how many workers it is of: "2 workers have no A100: a and 1 more."."""
    sentences = []
    for why, count in sorted(counts.items()):
        verb, _, rest = (why or "is free").partition(" ")
        if why == matching.no_gpu(gpu_tag):
            rest = f"no {gpu_name(gpu_tag)}"
        names = (named or {}).get(why, ())
        left = f" and {count - len(names):,} more" if count > len(names) else ""
        who = f": {', '.join(names)}{left}" if names else ""
        sentences.append(f"{counted(count, 'worker')} {verb if count == 1 else PLURAL.get(verb, verb)} {rest}{who}.")
    return sentences


def why_this_worker(job: Job, worker: Worker) -> list[str]:
    """Why `worker` did or did not get `job`, in sentences."""
    attempts = list(job.assignments.select_related("worker").order_by("fence"))
    own = [each for each in attempts if each.worker_id == worker.pk]
    said = [f"It got attempt {each.fence}: {chosen(each.why)}. That attempt is {word(each.state)}." for each in own]
    if own:
        return said
    for each in attempts:
        said.append(f"Attempt {each.fence} went to {each.worker.name}: {chosen(each.why)}.")
    why = obstacle_to(worker, _asked(job, attempts))
    if why is None:
        return [*said, f"{worker.name} gets nothing now: {_why_out(worker)}."]
    tag = job.resource_class.gpu_tag
    if why in (matching.NOT_A_RECEIVER, matching.no_gpu(tag), matching.TOO_LITTLE_MEMORY, matching.TOO_SLOW):
        return [*said, f"{worker.name} could not take it: it {why}."]
    if job.preparing is not None:
        return [*said, f"{worker.name} can take it once its matrix is made, of which {job.preparing:.0%} is done."]
    if job.state == JobState.PENDING.value:
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
