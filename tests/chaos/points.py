"""Web, coordinator, verifier and beat, killed once each right before and after every commit and publish point."""

import random
import time
from pathlib import Path

from marketplace.models import Job
from tests.chaos import invariants
from tests.chaos.client import a_job, insist
from tests.chaos.findings import Findings
from tests.chaos.network import Network
from tests.chaos.scale import Scale

KIND = "killed at a commit or publish point"
QUIET_JOBS = 2  # that pass without another point, and no more are looked for
LEAST_SECONDS, MOST_SECONDS = 20.0, 90.0
PATIENCE_SECONDS = 90.0


def run(findings: Findings, scale: Scale, network: Network, data: dict[str, str], rng: random.Random) -> None:
    """One job after the other, until `QUIET_JOBS` have met no point that has not killed; fewer in a smaller run."""
    row = findings[KIND]
    died, armed = network.failpoints / "died", network.failpoints / "armed"
    armed.touch()
    ends_at = time.monotonic() + max(LEAST_SECONDS, MOST_SECONDS * min(1.0, scale.kills / 50))
    quiet, jobs = 0, []
    try:
        while quiet < QUIET_JOBS and time.monotonic() < ends_at:
            before = _points(died)
            key = f"{findings.seed}-point-{len(jobs)}"
            jobs.append(_one(network, key, a_job(data["small"], len(jobs)), ends_at))
            findings.blame(KIND, invariants.now())
            quiet = quiet + 1 if _points(died) == before else 0
            findings.say(f"points: {len(jobs)} jobs, {len(_points(died))} points so far")
    finally:
        armed.unlink(missing_ok=True)
    jobs = [job for job in jobs if job]
    row.count = len(_points(died))
    row.note = f"{len(jobs)} jobs through them" + ("" if quiet == QUIET_JOBS else "; points are left")
    try:
        network.until(lambda: not Job.objects.filter(pk__in=jobs, ended_at=None).exists(), PATIENCE_SECONDS, "web")
    except TimeoutError:
        findings.blame(KIND, ["A job is stuck."])
    if Job.objects.filter(pk__in=jobs).exclude(state="verified").exists():
        findings.blame(KIND, ["A job was not verified."])
    if not row.count:
        findings.blame(KIND, ["No point was reached."])


def _one(network: Network, key: str, body: dict, ends_at: float) -> str:
    """Submit one job through however many deaths, and wait for its end until then; answers its id.

    Past `ends_at` nothing dies any more, and the job has to come through.
    """
    holder: list[str] = []

    def submitted() -> bool:
        if time.monotonic() > ends_at:
            (network.failpoints / "armed").unlink(missing_ok=True)
        tries = iter((False,))
        holder.append(insist(network, key, body, stopped=lambda: next(tries, True)))
        return bool(holder[-1])

    network.until(submitted, ends_at - time.monotonic() + PATIENCE_SECONDS, "web")
    job = holder[-1]
    while not Job.objects.filter(pk=job).exclude(ended_at=None).exists() and time.monotonic() < ends_at:
        network.mend()
        time.sleep(0.05)
    return job


def _points(died: Path) -> frozenset[str]:
    return frozenset(died.read_text().splitlines()) if died.exists() else frozenset()
