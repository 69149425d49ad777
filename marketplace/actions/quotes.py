"""What a job would take, before anything is held."""

from collections import Counter
from statistics import median
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import F, Q

from marketplace.actions.coordination import candidates
from marketplace.actions.submissions import Submission, find_client, plan
from marketplace.domain.matching import Waiting, obstacle, shortfall
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
        planned.brought.keep()
    job = Waiting("", planned.demand, reward, planned.quoted_seconds, 0.0)
    workers = candidates(database_now())
    able = [worker for worker in workers if obstacle(job, worker) in ("", "is busy")]
    names = dict(Worker.objects.filter(pk__in=[w.id for w in able[:NAMED]]).values_list("pk", "name"))
    measured = {UUID(w.id): round(w.measured_rate, 4) for w in able if w.measured_rate is not None}
    free = sum(not worker.busy and worker.free_slots > 0 for worker in able)
    excluded = Counter(unmet for worker in workers if (unmet := shortfall(planned.demand, worker)))
    answer = {
        "model_type": planned.model.name,
        "dataset_id": planned.dataset.sha256,
        "rows": planned.dataset.rows,
        "features": len(planned.features),
        "params": planned.params,
        "workers": sorted(names.values()),
        "measured_rates": {names[key]: rate for key, rate in measured.items() if key in names},
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
