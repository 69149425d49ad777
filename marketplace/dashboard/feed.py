"""What happens on the network, newest first: everybody may see that it happens, operators who and what it was."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from marketplace.models import Event
from workers.catalog import MODELS

SHOWN = 8

# kind → what everybody reads; {model}, {job}, {worker}, {actor} and {reason} are filled in.
PUBLIC = {
    "job.submitted": "{model} submitted",
    "job.verified": "{model} verified and paid",
    "job.failed": "{model} failed, refunded",
    "job.cancelled": "{model} cancelled",
    "worker.registered": "Worker {worker} was registered",
    "worker.invited": "Worker {worker} was registered",
    "worker.enrolled": "The machine of {worker} is enrolled",
    "network.started": "Auto-coordination was started",
    "network.stopped": "Auto-coordination was stopped",
    "network.drained": "The network's draining was switched",
    "payouts.frozen": "Payouts were frozen",
    "payouts.thawed": "Payouts were thawed",
}
# What operators read beside it.
OPERATORS = {
    "network.triggered": "A cycle was triggered",
    "worker.slashed": "Worker {worker} was slashed",
    "worker.no_show": "Worker {worker} fell silent in the middle of a job",
    "worker.suspended": "Worker {worker} was suspended",
    "worker.reinstated": "Worker {worker} was reinstated",
    "contributor.suspended": "A contributor was suspended",
    "contest.opened": "Worker {worker} contests a rejection",
    "client.registered": "A client was registered",
    "ledger.minted": "Tokens were minted",
    "verdict.held": "A verdict waits for the thaw",
}
TONES = {"verified": "good", "failed": "bad", "slashed": "bad", "no_show": "bad", "suspended": "bad", "frozen": "bad"}


@dataclass(frozen=True)
class Item:
    at: datetime
    sentence: str
    tone: str
    job: Any = None  # its page is linked, and who and why is told, where the viewer may see them
    worker: str = ""
    actor: str = ""
    reason: str = ""


def feed(sees_all: bool) -> dict[str, list[Item]]:
    words = PUBLIC | OPERATORS if sees_all else PUBLIC
    events = Event.objects.filter(kind__in=list(words)).select_related("job", "worker").order_by("-id")[:SHOWN]
    return {"feed": [_item(event, words[event.kind], sees_all) for event in events]}


def _item(event: Event, words: str, sees_all: bool) -> Item:
    model = MODELS.get(event.job.model_type) if event.job else None
    worker = event.worker.name if event.worker else ""
    sentence = words.format(model=f"{model.title}:" if model else "A job", worker=worker)
    tone = TONES.get(event.kind.rpartition(".")[2], "off")
    if not sees_all:
        return Item(event.created_at, sentence, tone, worker=worker)
    reason = event.reason if event.kind != "job.verified" else ""
    return Item(event.created_at, sentence, tone, event.job, worker, event.actor, reason)
