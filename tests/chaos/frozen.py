"""Races of a late answer: a process frozen while it computes, thawed when its lease is over and its job another's."""

import random
import signal
import time

from marketplace.models import Assignment, Job, Result, Transfer
from tests.chaos import invariants
from tests.chaos.client import a_long_job, insist
from tests.chaos.findings import Findings
from tests.chaos.network import Network, Program
from tests.chaos.scale import Scale

KIND = "late answer of a frozen process"
AT_ONCE = 4  # frozen together; the other workers take over
JOB_SECONDS = 1.0


def run(findings: Findings, scale: Scale, network: Network, data: dict[str, str], rng: random.Random) -> None:
    row = findings[KIND]
    body = a_long_job(data["large"], JOB_SECONDS)
    turns = 0
    while row.count < scale.freezes and turns < 3 * scale.freezes:
        turns += 1
        jobs = [insist(network, f"{findings.seed}-frozen-{turns}-{i}", body) for i in range(AT_ONCE + 1)]
        frozen = _freeze(network, jobs, min(AT_ONCE, scale.freezes - row.count))
        _race(findings, network, frozen)
        network.until(lambda jobs=jobs: not Job.objects.filter(pk__in=jobs, ended_at=None).exists(), 60, "coordinator")
        if Job.objects.filter(pk__in=jobs).exclude(state="verified").exists():
            findings.blame(KIND, ["A job was not done by another worker."])
        findings.blame(KIND, invariants.now())
        findings.say(f"frozen: {row.count} of {scale.freezes} late answers")
    if row.count < scale.freezes:
        findings.blame(KIND, [f"Only {row.count} of {scale.freezes} races came about."])
    row.note = "refused, unpaid, not slashed"


def _freeze(network: Network, jobs: list[str], count: int) -> list[tuple[Program, Assignment]]:
    """Freeze `count` workers that compute one of these jobs."""
    found: dict[str, tuple[Program, Assignment]] = {}
    ends_at = time.monotonic() + 20
    while len(found) < count and time.monotonic() < ends_at:
        network.mend()
        live = Assignment.objects.filter(job__in=jobs, state="started").select_related("worker")
        for assignment in live:
            program = network.programs[assignment.worker.name]
            if program.name not in found and len(found) < count:
                program.signal(signal.SIGSTOP)
                found[program.name] = (program, assignment)
        time.sleep(0.02)
    return list(found.values())


def _race(findings: Findings, network: Network, frozen: list[tuple[Program, Assignment]]) -> None:
    """Thaw them once all their leases are over, and hold what became of their answers against the promise."""
    row, ids = findings[KIND], [assignment.pk for _, assignment in frozen]
    try:
        network.until(lambda: not Assignment.objects.filter(pk__in=ids, state="started").exists(), 30, "coordinator")
    finally:
        slashes = _slashes(ids)
        for program, _ in frozen:
            program.signal(signal.SIGCONT)
    lost = set(Assignment.objects.filter(pk__in=ids, state="lost").values_list("pk", flat=True))
    for program, assignment in frozen:
        if assignment.pk not in lost:
            continue  # it had answered in the moment before it froze: no race
        row.count += 1
        spool = network.folder / "hosts" / program.name / "spool"
        network.until(lambda spool=spool: not list(spool.glob("*.json")), 30, program.name)
    network.until(lambda: _all_said(frozen, lost), 30, "threads")
    if Result.objects.filter(pk__in=lost).exists():
        findings.blame(KIND, ["A late answer was accepted."])
    if _slashes(ids) != slashes:
        findings.blame(KIND, ["A late answer was slashed."])


def _all_said(frozen: list[tuple[Program, Assignment]], lost: set) -> bool:
    """Has each thawed worker heard that its assignment is dead?"""
    return all(
        f"Assignment {assignment.pk} " in program.tail() for program, assignment in frozen if assignment.pk in lost
    )


def _slashes(assignments: list) -> int:
    """Slashes in the name of these assignments' jobs."""
    return Transfer.objects.filter(code="slash", job__assignments__in=assignments).distinct().count()
