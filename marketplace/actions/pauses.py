"""A worker's owner comes first: paused, resumed, and given hours, by whom it belongs to."""

from typing import Any
from zoneinfo import available_timezones

from django.db import transaction

from marketplace import dispatch, notifications
from marketplace.actions.events import record
from marketplace.actions.incidents import call_off
from marketplace.actions.stakes import find_worker
from marketplace.domain import hours
from marketplace.domain.errors import Conflict, Refused
from marketplace.models import Worker


def set_paused(*, name: str, paused: bool, user: Any, actor: str, hand_back: bool = False) -> Worker:
    """Pause one's own worker, or let it go on.

    Paused, it finishes what it has and takes nothing new; with `hand_back` others get what it has at once, which
    costs it nothing.

    Raises:
        NotFound: no such worker of this user's.
        Conflict: it is so already.
    """
    worker = find_worker(name=name, user=user)
    with transaction.atomic():
        changed = Worker.objects.filter(pk=worker.pk, draining=not paused).update(draining=paused)
        if not changed and not hand_back:
            raise Conflict(f"{name} {'is paused' if paused else 'was not paused'} already.")
        if changed:
            record("worker.paused" if paused else "worker.resumed", actor=actor, worker=worker)
        notifications.changed("workers", "network")
        if not paused:
            dispatch.wake_coordinator()
    if hand_back:
        call_off(worker, actor, "The worker's owner wants the machine back.")
    worker.refresh_from_db()
    return worker


def set_schedule(*, name: str, schedule: str, time_zone: str, user: Any, actor: str) -> Worker:
    """Say when one's own worker takes jobs; outside these hours it finishes what it has. Empty means always.

    Raises:
        NotFound: no such worker of this user's.
        Refused: hours that `hours.parse` cannot read, or a time zone that nobody knows.
    """
    worker = find_worker(name=name, user=user)
    schedule = " ".join(schedule.lower().split())
    hours.parse(schedule)
    if time_zone not in available_timezones():
        raise Refused(f'time_zone must be a name such as Europe/Berlin or UTC, not "{time_zone[:40]}".')
    with transaction.atomic():
        Worker.objects.filter(pk=worker.pk).update(schedule=schedule, time_zone=time_zone)
        record("worker.scheduled", actor=actor, worker=worker, reason=f"{schedule or 'always'} ({time_zone})")
        notifications.changed("workers", "network")
        dispatch.wake_coordinator()
    worker.refresh_from_db()
    return worker
