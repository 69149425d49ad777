"""The web process away for several leases while workers compute: each is paid for what it computed meanwhile."""

import random
import time

from marketplace.models import Assignment, Job
from tests.chaos.client import a_long_job, insist
from tests.chaos.findings import Findings
from tests.chaos.network import LEASE_SECONDS, Network
from tests.chaos.scale import Scale

JOB_SECONDS = 2.0
PATIENCE_SECONDS = 90.0


def run(findings: Findings, scale: Scale, network: Network, data: dict[str, str], rng: random.Random) -> None:
    kind = f"web away for {scale.away_seconds} s, all computing"
    row = findings[kind]
    for number in range(len(network.workers), scale.away_workers):
        network.worker(f"more-{number}", "-P", "solo")
    network.wait_for_workers()
    body = a_long_job(data["large"], JOB_SECONDS)
    web = network.programs["web"]
    jobs = [insist(network, f"{findings.seed}-away-{number}", body) for number in range(scale.away_workers)]
    computing = Assignment.objects.filter(job__in=jobs, state="started", worker__isnull=False)
    network.until(lambda: computing.count() >= scale.away_workers, 30, "coordinator")
    web.held = True
    web.kill()
    holders = dict(computing.values_list("job", "worker__name"))
    began_at = time.monotonic()
    while time.monotonic() - began_at < scale.away_seconds:
        network.mend()
        time.sleep(0.5)
    web.held = False
    back_at = time.monotonic()
    try:
        network.until(lambda: not Job.objects.filter(pk__in=jobs, ended_at=None).exists(), PATIENCE_SECONDS, "web")
    except TimeoutError:
        findings.blame(kind, ["A job is stuck."])
    row.resumes.append(time.monotonic() - back_at)
    paid = Job.objects.filter(pk__in=jobs, state="verified").values_list("pk", "worker__name", "attempt")
    same = [job for job, worker, attempt in paid if attempt == 1 and holders.get(job) == worker]
    row.count = len(holders)
    row.note = (
        f"{len(same)} of {len(holders)} paid to who computed, {scale.away_seconds / LEASE_SECONDS:.0f} leases long"
    )
    if len(same) != len(holders) or len(holders) < scale.away_workers:
        findings.blame(kind, [f"Only {len(same)} of {scale.away_workers} workers were paid for their answers."])
