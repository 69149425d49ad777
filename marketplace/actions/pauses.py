"""Pausing a worker: it finishes what it has and takes nothing new, until its contributor resumes it."""

from typing import Any

from django.db import transaction

from marketplace import dispatch, notifications
from marketplace.actions.events import record
from marketplace.actions.stakes import find_worker
from marketplace.domain.errors import Conflict
from marketplace.models import Worker


def set_paused(*, name: str, paused: bool, user: Any, actor: str) -> None:
    """Pause one's own worker, or let it go on.

    Raises:
        NotFound: no such worker of this user's.
        Conflict: it is so already.
    """
    worker = find_worker(name=name, user=user)
    with transaction.atomic():
        if not Worker.objects.filter(pk=worker.pk, draining=not paused).update(draining=paused):
            raise Conflict(f"{name} {'is paused' if paused else 'was not paused'} already.")
        record("worker.paused" if paused else "worker.resumed", actor=actor, worker=worker)
        notifications.changed("workers", "network")
        if not paused:
            dispatch.wake_coordinator()
