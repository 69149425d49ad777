"""Hearing from machines: a heartbeat keeps a worker in the market and its leases alive."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from marketplace import dispatch, notifications
from marketplace.actions import challenges, copies, versions
from marketplace.domain.lifecycle import AssignmentState
from marketplace.models import Assignment, Compiled, Network, Worker, database_now, update_each
from workers.protocol import is_served


def heartbeat(*, machine: Worker, request: Mapping[str, Any], protocol: str | None = None) -> dict[str, Any]:
    """Note how a machine is, and renew the leases of the live assignments that it names.

    `protocol` is the version that the machine says it speaks, where it says so. One that is not served keeps its leases
    and gets nothing new.

    Each assignment in hand is fenced: it is renewed only if it still runs, is this machine's, has this fence and an
    unexpired lease, by the clock as it is once its row is locked.

    Returns:
        a `workers.protocol.HeartbeatReply`; its `cancel` lists the named assignments that are dead.
    """
    policy = settings.POLICY
    versions.note(machine, protocol)
    now = database_now()
    silent_since = now - timedelta(seconds=policy.silent_after_seconds)
    returned = machine.last_heartbeat_at is None or machine.last_heartbeat_at < silent_since
    aside = request.get("aside", "")
    Worker.objects.filter(pk=machine.pk).update(
        last_heartbeat_at=now,
        load=request["load"],
        memory_free_bytes=request["memory_free_bytes"],
        temperature_celsius=request["temperature_celsius"],
        aside=aside,
    )
    if returned or aside != machine.aside:
        notifications.changed("workers", "network")
        dispatch.wake_coordinator()
    dead = _renew(machine, request["assignments"])
    resting = bool(machine.why_resting(now)) and not machine.aside  # who stands aside knows it
    reply = {
        "cancel": dead,
        "drain": resting
        or not machine.is_active
        or not is_served(machine.protocol)
        or Network.objects.filter(draining=True).exists(),
        "heartbeat_seconds": policy.heartbeat_seconds,
    }
    if upgrade := versions.upgrade(machine.protocol):
        reply["upgrade"] = upgrade
    if drop := copies.to_drop(machine, request.get("dropped", ())):
        reply["drop"] = drop
    if not machine.queue:
        reply["take"] = _waiting_for(machine, now)
    busy = bool(request["assignments"] or reply.get("take"))
    if challenge := challenges.offered_to(machine, now, busy=busy):
        reply["challenge"] = challenge
    return reply


def _waiting_for(machine: Worker, now: datetime) -> list[str]:
    """The assignments of a machine without a Redis list that it has not started yet."""
    waiting = Assignment.objects.filter(
        of_machine(machine), state=AssignmentState.DISPATCHED.value, lease_expires_at__gte=now
    )
    return [str(pk) for pk in waiting.order_by("created_at").values_list("pk", flat=True)]


def of_machine(machine: Worker | UUID) -> Q:
    """Assignments whose worker is this machine, or one that it stands in for."""
    return Q(worker=machine) | Q(worker__host=machine)


def _started(machine: UUID, assignments: Collection[UUID]) -> QuerySet[Assignment, tuple[UUID, int, datetime]]:
    started = Assignment.objects.filter(of_machine(machine), pk__among=assignments, state=AssignmentState.STARTED.value)
    return started.order_by("pk").values_list("pk", "fence", "lease_expires_at")


_running = Compiled(_started, UUID, [UUID])
_leased = Compiled(
    lambda machine, assignments: _started(machine, assignments).select_for_update(
        no_key=True, skip_locked=True, of=("self",)
    ),
    UUID,
    [UUID],
)


def _renew(machine: Worker, beats: Sequence[Mapping[str, Any]]) -> list[str]:
    """Renew what still runs, all at once; answers the others, which are dead.

    One that somebody else changes at this moment is left to the next heartbeat, for it may end: to wait for it, with
    others locked, could be for ever.
    """
    named = [(_id(beat["assignment"]), beat) for beat in beats]
    ids = {pk for pk, _ in named if pk is not None}
    if not ids:
        return [beat["assignment"] for beat in beats]
    with transaction.atomic():
        held = _leased(machine.pk, ids)
        now = database_now()  # after the locks: a lease that ran out meanwhile is dead
        alive = {(pk, fence) for pk, fence, ends_at in held if ends_at >= now}
        own = {
            pk: {"progress": beat["progress"], "note": beat["note"][:200]}
            for pk, beat in named
            if (pk, beat["fence"]) in alive
        }
        lease_expires_at = now + timedelta(seconds=settings.POLICY.lease_seconds)
        update_each(Assignment, own, lease_expires_at=lease_expires_at)
    if others := ids - {pk for pk, _, _ in held}:
        alive |= {(pk, fence) for pk, fence, ends_at in _running(machine.pk, others) if ends_at >= now}
    return [beat["assignment"] for pk, beat in named if (pk, beat["fence"]) not in alive]


def _id(named: str) -> UUID | None:
    try:
        return UUID(named)
    except ValueError:
        return None
