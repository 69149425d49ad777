"""The workers among whom a choice is made, read without making rows of them: there may be ten thousand."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Case, F, Q, When

from marketplace.actions import audiences, challenges
from marketplace.actions.pulse import OPEN
from marketplace.domain import reputation
from marketplace.domain.lifecycle import LIVE
from marketplace.domain.matching import Candidate
from marketplace.models import Assignment, Compiled, Worker
from marketplace.models.worker import is_open, was_heard
from workers.protocol import is_served

PLAIN = ("pk", "gpu_tag", "memory_bytes", "compute_capacity", "measured_rate", "claim_doubted", "standby",
         "virtual_finish", "schedule", "time_zone")  # fmt: skip
RECORD = ("verified", "rejected", "reputation")  # of its contributor
OF_MACHINE = ("pk", "schedule", "time_zone", "protocol", "slots", "last_heartbeat_at")


@dataclass(frozen=True)
class _Seen:
    """What is seen of all workers together, by their ids."""

    now: datetime
    exposed: Counter[Any]  # micro-tokens of open rewards; an answer that is being checked is still at risk
    taken: Counter[Any]  # slots, by machine
    busy: set[Any]  # workers that compute
    measured: set[Any]  # machines
    members: Mapping[Any, frozenset[int]]  # the audiences that a worker is in


def candidates(now: datetime, asked: Collection[int | None] = ()) -> list[Candidate]:
    """Every active worker whose machine is enrolled and takes jobs now, as the choice sees it, by its id.

    Of the audiences `asked` it also knows who is in.
    """
    exposed, taken, busy = _in_hand()
    seen = _Seen(now, exposed, taken, busy, challenges.being_measured(now), audiences.members(asked))
    rows = [row for row in _rows() if is_served(row["machine_protocol"]) and _at_its_hours(row, now)]
    rows.sort(key=lambda row: row["pk"])  # ties are drawn among workers in an order that does not hang on the database
    return [_candidate(row, seen) for row in rows]


def _taking() -> Any:
    """Those that neither rest nor stand aside, the machine's part under names of its own."""
    taking = Q(is_active=True, draining=False, aside="") & (Q(host=None) | Q(host__draining=False, host__aside=""))
    machine = {
        f"machine_{name}": Case(When(host=None, then=F(name)), default=F(f"host__{name}")) for name in OF_MACHINE
    }
    return (
        Worker.objects.filter(taking)
        .filter(Q(host=None, enrolled_at__isnull=False) | Q(host__enrolled_at__isnull=False))
        .order_by()
        .values(*PLAIN, **machine, **{n: F(f"contributor__{n}") for n in RECORD}, at_stake=F("stake__balance"))
    )


def _live() -> Any:
    live = Assignment.objects.filter(ended_at=None, state__in=[state.value for state in LIVE]).order_by()
    return live.values_list("worker", "worker__host", "job__reward", "state")


_rows = Compiled(_taking)
_live_rows = Compiled(_live)


def _at_its_hours(row: dict[str, Any], now: datetime) -> bool:
    return is_open(row["schedule"], row["time_zone"], now) and is_open(
        row["machine_schedule"], row["machine_time_zone"], now
    )


def _in_hand() -> tuple[Counter[Any], Counter[Any], set[Any]]:
    """Of workers with live assignments: the micro-tokens at risk, the slots taken by machine, and who computes."""
    exposed: Counter[Any] = Counter()
    taken: Counter[Any] = Counter()
    busy = set()
    for worker, host, reward, state in _live_rows():
        exposed[worker] += reward
        if state in OPEN:
            busy.add(worker)
            taken[host or worker] += 1
    return exposed, taken, busy


def _candidate(row: dict[str, Any], seen: _Seen) -> Candidate:
    worker, machine = row["pk"], row["machine_pk"]
    return Candidate(
        id=str(worker),
        machine=str(machine),
        gpu_tag=row["gpu_tag"],
        memory_bytes=row["memory_bytes"],
        compute_capacity=row["compute_capacity"],
        measured_rate=row["measured_rate"],
        claim_doubted=row["claim_doubted"],
        audiences=seen.members[worker],
        rank=reputation.lower_bound(**{name: row[name] for name in RECORD}),
        exposure_left=int(row["at_stake"] * settings.POLICY.exposure_factor) - seen.exposed[worker],
        free_slots=row["machine_slots"] - seen.taken[machine],
        busy=worker in seen.busy or machine in seen.measured,
        online=was_heard(row["machine_last_heartbeat_at"], seen.now, settings.POLICY.silent_after_seconds),
        standby=row["standby"],
        virtual_finish=row["virtual_finish"],
    )
