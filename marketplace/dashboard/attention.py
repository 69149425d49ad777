"""What somebody should look at now: machines that went silent, answers that were rejected, wallets that run low."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.urls import reverse

from marketplace.dashboard.access import Viewer
from marketplace.domain.money import in_words
from marketplace.models import Contest, DatabaseNow, Network, Verdict, Worker

RECENT = timedelta(hours=24)
NAMED = 3


@dataclass(frozen=True)
class Concern:
    """One sentence, and where something can be done about it."""

    sentence: str
    url: str
    action: str
    tone: str = "wait"


def attention(viewer: Viewer) -> dict[str, list[Concern]]:
    network = Network.objects.annotate(now=DatabaseNow()).get(pk=1)
    now = network.now
    found = [*_coordination(network), *_silent(viewer, now), *_rejected(viewer, now)]
    found += [*_contests(viewer), *_low_balances(viewer)]
    return {"concerns": found}


def _named(names: list[str], one: str, many: str) -> str:
    """ "a fell silent", "a, b and 5 more fell silent"; `names` may hold one more than is shown, which says "more"."""
    if len(names) == 1:
        return f"{names[0]} {one}"
    shown = ", ".join(names[:NAMED])
    return f"{shown}{' and others' if len(names) > NAMED else ''} {many}"


def _coordination(network: Any) -> list[Concern]:
    late = timedelta(seconds=settings.POLICY.cycle_late_after_seconds)
    if network.last_cycle_at is None or network.now - network.last_cycle_at <= late:
        return []
    sentence = (
        f"No coordination cycle has run since {network.last_cycle_at:%H:%M:%S} UTC: beat, the coordinator or Redis is "
        "down. Nothing is lost; jobs wait."
    )
    return [Concern(sentence, "/health/ready", "See what is down", "bad")]


def _workers(viewer: Viewer) -> Any:
    found = Worker.objects.filter(is_active=True)
    return found if viewer.sees_all else found.filter(contributor__user_id=viewer.user_id)


def _silent(viewer: Viewer, now: datetime) -> list[Concern]:
    since = now - timedelta(seconds=settings.POLICY.silent_after_seconds)
    silent = _workers(viewer).filter(host=None, enrolled_at__isnull=False, last_heartbeat_at__lt=since)
    names = list(silent.order_by("-last_heartbeat_at").values_list("name", flat=True)[: NAMED + 1])
    if not names:
        return []
    sentence = _named(names, "has fallen silent", "have fallen silent") + ", and is given nothing new."
    return [Concern(sentence, reverse("worker", args=[names[0]]), "See when it was last heard")]


def _rejected(viewer: Viewer, now: datetime) -> list[Concern]:
    rejected = Verdict.objects.filter(outcome="rejected", created_at__gte=now - RECENT, contest=None)
    if not viewer.sees_all:
        rejected = rejected.filter(assignment__worker__contributor__user_id=viewer.user_id)
    workers = list(rejected.order_by("-created_at").values_list("assignment__worker__name", flat=True)[:50])
    if not workers:
        return []
    names = list(dict.fromkeys(workers))
    sentence = _named(names[: NAMED + 1], "had", "had") + " answers rejected in the last 24 hours."
    return [Concern(sentence, reverse("worker", args=[names[0]]), "See why, or contest it", "bad")]


def _contests(viewer: Viewer) -> list[Concern]:
    if not viewer.operates:
        return []
    count = Contest.objects.filter(outcome="open").count()
    if not count:
        return []
    sentence = f"{count} contested rejection{' waits' if count == 1 else 's wait'} for a decision."
    return [Concern(sentence, reverse("admin:marketplace_contest_changelist") + "?outcome__exact=open", "Decide")]


def _low_balances(viewer: Viewer) -> list[Concern]:
    """One's own wallets; an operator of a network with log-ins is not told of everybody's."""
    if viewer.sees_all and not settings.SANDBOX:
        return []
    low = viewer.clients().filter(wallet__balance__lt=settings.POLICY.micro("low_balance"))
    rows = list(low.order_by("address").values_list("address", "wallet__balance")[: NAMED + 1])
    if not rows:
        return []
    names = [f"{address} ({in_words(balance)})" for address, balance in rows]
    sentence = _named(names, "runs low", "run low") + "."
    return [Concern(sentence, reverse("wallet"), "Go to the wallet")]
