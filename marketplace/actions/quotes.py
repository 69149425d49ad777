"""What a job would take, before anything is held."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from django.conf import settings
from django.db.models import F, Q

from marketplace.actions import audiences
from marketplace.actions.audiences import Receivers
from marketplace.actions.obstacles import Asked, obstacles, owners_that_meet
from marketplace.actions.submissions import Submission, find_client, plan
from marketplace.domain.matching import BUSY
from marketplace.domain.money import MICRO, to_micro, to_tokens
from marketplace.models import Job, database_now

RECENT = 200  # verified jobs that the suggested reward learns from
NAMED = 100  # workers that a quote names


def quote(*, submission: Submission, user: Any) -> dict[str, Any]:
    """Who could take the job, how long it should take, what would be held, and a reward to consider.

    Of a job whose matrix is still to be made, all that depends on its shape is what the dataset lets expect;
    `features` is None where it has categories, whose levels are not known.

    Raises:
        Refused: as the submission itself would be.
    """
    client = find_client(address=submission.client_address, user=user) if submission.client_address else None
    with plan(submission, user) as planned:
        suggested = max(_suggested_reward(planned.quoted_seconds), planned.floor)
        reward = to_micro(submission.reward, name="reward", minimum=1) if submission.reward is not None else suggested
        dataset = planned.brought.keep()
    receivers = audiences.for_job(given=submission.receivers, dataset=dataset, user=user)
    among = None if receivers is None else audiences.workers_of(receivers)
    asked = Asked(planned.demand, reward, database_now(), among)
    excluded = obstacles(asked, named=NAMED)
    free = excluded[""].count if "" in excluded else 0
    able = [excluded.pop(why) for why in ("", BUSY) if why in excluded]
    rates = {name: rate for each in able for name, rate in each.named.items()}
    names = sorted(rates)[:NAMED]
    answer = {
        "model_type": planned.model.name,
        "dataset_id": planned.dataset.sha256,
        "rows": planned.rows,
        "features": planned.width,
        "matrix_ready": not planned.waits,
        "params": planned.params,
        "workers": names,
        "measured_rates": {name: round(rate, 4) for name in names if (rate := rates[name]) is not None},
        "receivers": receivers.as_json() if receivers else None,
        "may_receive": _who(receivers, list(owners_that_meet(asked)[: NAMED + 1])),
        "workers_able": sum(each.count for each in able),
        "workers_free": free,
        "workers_excluded": sum(each.count for each in excluded.values()),
        "excluded": {why: each.count for why, each in sorted(excluded.items())},
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


def _who(receivers: Receivers | None, names: Sequence[str]) -> str:
    """Whose machines may receive the data, in a sentence; of more than `NAMED` it says that there are others."""
    shown = ", ".join(names[:NAMED]) + (" and others" if len(names) > NAMED else "")
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
