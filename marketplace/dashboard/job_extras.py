"""What else a job's page tells: when it was in which state, and how to ask for the same from a program."""

import json
import shlex
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.conf import settings

from marketplace.actions.submissions import submission_of
from marketplace.dashboard import charts_kinds as kinds
from marketplace.dashboard.charts import Chart
from marketplace.dashboard.charts_kinds import Words
from marketplace.domain.lifecycle import JobState
from marketplace.filters import STATES, duration
from marketplace.models import Event, Job

PHASES = {
    JobState.PENDING.value: "waiting",
    JobState.ASSIGNED.value: "given",
    JobState.COMPUTING.value: "computing",
    JobState.COMPLETED.value: "being checked",
}
PHASES_DRAWN = 12
AUTHORIZED = '  -H "Authorization: Bearer $COMPUTENET_API_KEY" \\\n'


def timeline(job: Job, events: Sequence[Event], now: datetime) -> Chart:
    """How long the job was in each state, from its submission to its end, or until now."""
    moments = [
        (each.after, each.created_at) for each in events if each.after in PHASES and each.kind.startswith("job.")
    ]
    ends = [moment for _, moment in moments[1:]] + [job.ended_at or now]
    start = job.submitted_at
    spans = [
        (PHASES[state], (began - start).total_seconds(), (ended - start).total_seconds(), STATES[state].tone)
        for (state, began), ended in zip(moments, ends, strict=True)
    ]
    spans = [(label, max(0.0, began), max(began, ended, 0.0), tone) for label, began, ended, tone in spans]
    whole = ((job.ended_at or now) - start).total_seconds()
    left = f"The last {PHASES_DRAWN} of {len(spans)} are drawn." if len(spans) > PHASES_DRAWN else ""
    words = Words(
        "timeline", "Where the time went",
        f"{duration(whole)} in all{', so far' if job.ended_at is None else ''}.", "since it was submitted",
        note=left,
    )  # fmt: skip
    return kinds.timeline(words, spans[-PHASES_DRAWN:])


def requests(job: Job, address: str) -> dict[str, str]:
    """The same job as a curl command and as Python, for the network at `address`; the sandbox asks for no key."""
    asked = submission_of(job)
    body: dict[str, Any] = {
        "client_address": asked.client_address,
        "model_type": asked.model_type,
        "reward": asked.reward,
        "dataset": asked.dataset,
    }
    more: dict[str, Any] = {
        "params": dict(asked.params),
        "target": asked.target,
        "columns": asked.columns,
        "recipe": asked.recipe,
        "requirements": dict(asked.requirements),
        "receivers": dict(asked.receivers),
    }
    more = {name: value for name, value in more.items() if value not in (None, {})}
    curl = (
        f"curl -X POST {shlex.quote(f'{address}/job/submit')} \\\n"
        "  -H 'Content-Type: application/json' \\\n"
        f"{'' if settings.SANDBOX else AUTHORIZED}"
        f"  -d {shlex.quote(json.dumps(body | more))}"
    )
    options = "".join(f", {name}={value!r}" for name, value in {**asked.params, **more}.items() if name != "params")
    key = "" if settings.SANDBOX else " os.environ.get('COMPUTENET_API_KEY'),"
    python = (
        f"{'' if settings.SANDBOX else 'import os'}\n"
        "from computenet_client import Dataset, Network\n\n"
        f"network = Network({address!r},{key} client={asked.client_address!r})\n"
        f"data = Dataset({asked.dataset!r}, rows={job.dataset.rows}, columns=())\n"
        f"job = network.submit({asked.model_type!r}, data, reward={asked.reward!r}{options})\n"
        "job.wait()\n"
        "result = job.result()  # NumPy arrays by name\n"
    )
    return {"curl": curl, "python": python.lstrip()}
