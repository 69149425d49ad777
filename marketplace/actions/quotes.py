"""What a job would take, before anything is held."""

from collections import Counter
from dataclasses import replace
from statistics import median
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import F, Q

from marketplace.actions import audiences
from marketplace.actions.audiences import Receivers
from marketplace.actions.coordination import candidates
from marketplace.actions.submissions import Submission, find_client, plan
from marketplace.domain.matching import Candidate, Demand, Waiting, obstacle, shortfall
from marketplace.domain.money import MICRO, to_micro, to_tokens
from marketplace.models import Job, Worker, database_now

RECENT = 200  # verified jobs that the suggested reward learns from
NAMED = 100  # workers that a quote names


def quote(*, submission: Submission, user: Any) -> dict[str, Any]:
    """Who could take the job, how long it should take, what would be held, and a reward to consider.

    Raises:
        Refused: as the submission itself would be.
    """
    client = find_client(address=submission.client_address, user=user) if submission.client_address else None
    with plan(submission, user) as planned:
        suggested = max(_suggested_reward(planned.quoted_seconds), planned.floor)
        reward = to_micro(submission.reward, name="reward", minimum=1) if submission.reward is not None else suggested
        dataset = planned.brought.keep()
    receivers = audiences.for_job(given=submission.receivers, dataset=dataset, user=user)
    workers, demand = candidates(database_now()), planned.demand
    if receivers is not None:
        demand, workers = _restricted(demand, workers, receivers)
    job = Waiting("", demand, reward, planned.quoted_seconds, 0.0)
    able = [worker for worker in workers if obstacle(job, worker) in ("", "is busy")]
    names = dict(Worker.objects.filter(pk__in=[w.id for w in able[:NAMED]]).values_list("pk", "name"))
    measured = {UUID(w.id): round(w.measured_rate, 4) for w in able if w.measured_rate is not None}
    free = sum(not worker.busy and worker.free_slots > 0 for worker in able)
    excluded = Counter(unmet for worker in workers if (unmet := shortfall(demand, worker)))
    answer = {
        "model_type": planned.model.name,
        "dataset_id": planned.dataset.sha256,
        "rows": planned.rows,
        "features": len(planned.features),
        "params": planned.params,
        "workers": sorted(names.values()),
        "measured_rates": {names[key]: rate for key, rate in measured.items() if key in names},
        "receivers": receivers.as_json() if receivers else None,
        "may_receive": _who(receivers, [worker for worker in workers if not shortfall(demand, worker)]),
        "workers_able": len(able),
        "workers_free": free,
        "workers_excluded": sum(excluded.values()),
        "excluded": dict(sorted(excluded.items())),
        "estimated_seconds": round(planned.quoted_seconds, 4),
        "held": to_tokens(reward),
        "suggested_reward": to_tokens(suggested),
        "least_reward": to_tokens(planned.floor),
        "balance": None,
        "balance_after": None,
    }
    if client:
        answer["balance"] = to_tokens(client.wallet.balance)
        answer["balance_after"] = to_tokens(client.wallet.balance - reward)
    return answer


def _restricted(demand: Demand, workers: list[Candidate], receivers: Receivers) -> tuple[Demand, list[Candidate]]:
    """The demand and the workers as they would be to each other; an audience that is only asked about has no row."""
    members = audiences.workers_of(receivers)
    asked = 0  # the number of no row
    seen = [replace(each, audiences=frozenset({asked}) if each.id in members else frozenset()) for each in workers]
    return replace(demand, audience=asked), seen


def _who(receivers: Receivers | None, workers: list[Candidate]) -> str:
    """Whose machines may receive the data, in a sentence."""
    owners = Worker.objects.filter(pk__in=[each.id for each in workers]).values_list("contributor__name", flat=True)
    names = sorted(set(owners))
    shown = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED:,} more" if len(names) > NAMED else "")
    now = f"Today these are machines of {shown}." if names else "Today there is none."
    if receivers is None:
        return f"Any worker of the network that meets the demands may receive the data. {now}"
    return f"Only these may receive the data: {receivers}. {now}"


def _suggested_reward(quoted_seconds: float) -> int:
    """Micro-tokens: the median paid per quoted second of late, times the quote; at least the policy's minimum."""
    policy = settings.POLICY
    # Jobs of one's own cost nothing but the fee-less way round, so what they pay says nothing.
    own = Q(client__user__isnull=False, client__user=F("worker__contributor__user"))
    paid = (
        Job.objects.filter(state="verified")
        .exclude(own)
        .order_by("-submitted_at")
        .values_list("reward", "quoted_seconds")
    )
    rates = [reward / seconds for reward, seconds in paid[:RECENT] if seconds > 0]
    rate = median(rates) if rates else policy.suggested_rate * MICRO
    suggested = max(rate * quoted_seconds, policy.micro("suggested_minimum"))
    return round(suggested / 10_000) * 10_000 or MICRO  # to a hundredth of a token
