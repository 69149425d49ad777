"""Many small jobs, and faults all over them: every job ends, what is verified is paid once, dispatch resumes."""

import random
import time
from collections import Counter

from django.db import Error, connections

from marketplace.models import Job, Transfer
from tests.chaos import invariants
from tests.chaos.client import Submitter
from tests.chaos.faults import Faults
from tests.chaos.findings import Findings
from tests.chaos.network import CLOCK_OFF, FAKETIME, Network
from tests.chaos.scale import Scale

KIND = "jobs under all of these"
LAST_FAULT_AT = 0.9  # of the jobs: the rest shows that dispatch resumed after the last fault, too
AT_ONCE = 0.5  # the chance that the next fault strikes in the same moment
SECONDS_PER_JOB, SECONDS_PER_FAULT = 0.5, 5.0
STUCK_SECONDS = 60.0  # without an end, once nothing strikes any more


def run(findings: Findings, scale: Scale, network: Network, data: dict[str, str], rng: random.Random) -> None:
    faults = Faults(network, findings, rng)
    planned = faults.plan(scale)
    submitter = Submitter(network, data["small"], scale.jobs, findings.seed)
    submitter.start()
    try:
        _storm(findings, scale, network, faults, planned, submitter)
    finally:
        submitter.close()
    faults.judge()
    _count(findings, scale, submitter)


def _storm(
    findings: Findings, scale: Scale, network: Network, faults: Faults, planned: list[str], submitter: Submitter
) -> None:
    budget = SECONDS_PER_JOB * scale.jobs + SECONDS_PER_FAULT * len(planned) + STUCK_SECONDS
    ends_at = time.monotonic() + budget
    struck, said_at = 0, 0.0
    while submitter.ended < scale.jobs and not submitter.problem:
        network.mend()
        faults.tick()
        submitter.ended = _ended(submitter.ended)
        due = struck < len(planned) and submitter.ended >= LAST_FAULT_AT * scale.jobs * struck / len(planned)
        while due and struck < len(planned):
            _strike(findings, faults, planned[struck])
            struck += 1
            due = faults.rng.random() < AT_ONCE
        if time.monotonic() - said_at > 5:
            said_at = time.monotonic()
            findings.say(f"storm: {submitter.ended:,} of {scale.jobs:,} jobs ended, fault {struck} of {len(planned)}")
        if time.monotonic() > ends_at:
            break
        time.sleep(0.05)
    while faults.later:  # thaw whoever is frozen still
        faults.tick()
        network.mend()
        time.sleep(0.1)
    if struck < len(planned):
        findings.blame(KIND, [f"Only {struck} of {len(planned)} faults struck before the end. {submitter.problem}"])


def _strike(findings: Findings, faults: Faults, kind: str) -> None:
    try:
        faults.strike(kind)
        findings.blame(kind, invariants.now())
    except Error:
        connections.close_all()  # a database that is not back yet is asked after the next fault


def _ended(before: int) -> int:
    try:
        return Job.objects.exclude(ended_at=None).count()
    except Error:
        connections.close_all()
        return before


def _count(findings: Findings, scale: Scale, submitter: Submitter) -> None:
    row = findings[KIND]
    jobs = {str(pk): state for pk, state in Job.objects.values_list("pk", "state")}
    states = Counter(jobs.values())
    row.count = len(jobs)
    row.note = ", ".join(f"{count:,} {state}" for state, count in states.most_common())
    acknowledged = set(submitter.acknowledged)
    problems = [submitter.problem] if submitter.problem else []
    if len(acknowledged) != scale.jobs or len(submitter.acknowledged) != scale.jobs:
        problems.append(f"{len(acknowledged)} of {scale.jobs} submissions were acknowledged, each as a job of its own.")
    if acknowledged != set(jobs):
        lost, more = len(acknowledged - set(jobs)), len(set(jobs) - acknowledged)
        problems.append(f"{lost} acknowledged jobs are lost, {more} are doubled.")
    if stuck := [job for job, state in jobs.items() if state not in ("verified", "failed")]:
        problems.append(f"{len(stuck)} jobs are stuck: {', '.join(stuck[:3])}.")
    paid = Counter(str(job) for job in Transfer.objects.filter(code="capture").values_list("job", flat=True))
    if any(paid[job] != (state == "verified") for job, state in jobs.items()):
        problems.append("A verified job was not paid exactly once, or another was paid.")
    findings.blame(KIND, problems)
    if FAKETIME.is_file():
        done = Job.objects.filter(state="verified", worker__name__in=["ahead", "behind"])
        by = Counter(done.values_list("worker__name", flat=True))
        findings[CLOCK_OFF].count = sum(by.values())
        findings[CLOCK_OFF].note = "jobs verified and paid"
        if len(by) < 2:
            findings.blame(CLOCK_OFF, [f"Verified jobs of workers with a wrong clock: {dict(by)}."])
