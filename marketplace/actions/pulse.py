"""Whether the web process answers: while it does not, no machine can renew a lease, and none is blamed for it."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F

from marketplace.domain.lifecycle import AssignmentState
from marketplace.models import Assignment, DatabaseNow, Network, Worker, database_now

OPEN = [AssignmentState.DISPATCHED.value, AssignmentState.STARTED.value]
RECENT = timedelta(hours=1)


def note_web_alive() -> float:
    """Say that the web process answers; it calls this every two seconds. Answers the gap that ended, in seconds.

    After a gap, every lease that was open when it began moves forward by it. Where there was none it is one statement.
    """
    away = timedelta(seconds=settings.POLICY.web_away_after_seconds)
    if Network.objects.filter(pk=1, web_seen_at__gte=DatabaseNow() - away).update(web_seen_at=DatabaseNow()):
        return 0.0
    with transaction.atomic():
        network = Network.objects.select_for_update(no_key=True).get(pk=1)
        now = database_now()
        seen = network.web_seen_at or now
        gap = now - seen
        long = gap > away
        if long:
            open_ = Assignment.objects.filter(state__in=OPEN, lease_expires_at__gte=seen)
            open_.update(lease_expires_at=F("lease_expires_at") + gap)
        Network.objects.filter(pk=1).update(web_seen_at=now)
    return gap.total_seconds() if long else 0.0


def web_is_away(now: datetime) -> bool:
    """Is there a web process that has stopped giving signs of life?"""
    seen = Network.objects.values_list("web_seen_at", flat=True).get(pk=1)
    return seen is not None and (now - seen).total_seconds() > settings.POLICY.web_away_after_seconds


def was_reachable(machine: Worker, since: datetime) -> bool:
    """Could this machine have been heard `since` then? Only what is certain is held against it.

    Not where no web process has said that it is there; nor where other machines, which spoke within the last hour,
    were all silent too: then the way here was broken, and not this machine.
    """
    if Network.objects.values_list("web_seen_at", flat=True).get(pk=1) is None:
        return False
    others = Worker.objects.exclude(pk=machine.pk).filter(host=None, last_heartbeat_at__gte=since - RECENT)
    return not others.exists() or others.filter(last_heartbeat_at__gte=since).exists()
