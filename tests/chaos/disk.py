"""The network's disk full: new data are refused and nothing else; answers wait at the workers and come after."""

import random
import time

import requests

from marketplace.models import Job
from tests.chaos.client import CLIENT, a_job, insist, table
from tests.chaos.findings import Findings
from tests.chaos.network import RESUME_SECONDS, Network
from tests.chaos.scale import Scale

KIND = "disk full"
JOBS = 4
FULL_SECONDS = 8.0


def run(findings: Findings, scale: Scale, network: Network, data: dict[str, str], rng: random.Random) -> None:
    row = findings[KIND]
    if not network.small_disk:
        findings.skip(KIND, "a small disk is mounted by root alone")
        return
    ballast = network.home / "files" / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file:
            while file.write(bytes(65536)) == 65536:
                pass
    except OSError:
        pass  # full
    row.count = 1
    content = table(3_000, 6, seed=rng.randrange(10**6))
    refused = requests.post(f"{network.address}/datasets", files={"file": ("more.csv", content)}, timeout=30)
    if refused.status_code != 507:
        findings.blame(KIND, [f"An upload was answered with {refused.status_code}."])
    transfer = {"from": CLIENT, "to": "threads", "amount": 1}
    moved = requests.post(f"{network.address}/token/transfer", json=transfer, timeout=30)
    if moved.status_code != 200:
        findings.blame(KIND, [f"A transfer was answered with {moved.status_code}."])
    jobs = [insist(network, f"{findings.seed}-disk-{i}", a_job(data["small"], i)) for i in range(JOBS)]
    waiting = 0
    ends_at = time.monotonic() + FULL_SECONDS
    while time.monotonic() < ends_at:
        network.mend()
        spools = (network.folder / "hosts").glob("*/spool/*.json")
        waiting = max(waiting, len(list(spools)))
        time.sleep(0.1)
    ballast.unlink()
    began_at = time.monotonic()
    try:
        network.until(lambda: not Job.objects.filter(pk__in=jobs, ended_at=None).exists(), 60, "coordinator")
    except TimeoutError:
        findings.blame(KIND, ["A job is stuck."])
    row.resumes.append(time.monotonic() - began_at)
    row.note = f"{waiting} answers waited at their workers; uploads 507, transfers and submissions went on"
    if not waiting:
        findings.blame(KIND, ["No answer had to wait, so nothing was tried."])
    if row.resumes[-1] > RESUME_SECONDS + 30:  # a worker's pause between two tries grows to 30 s
        findings.blame(KIND, [f"The last answer came {row.resumes[-1]:.1f} s after there was room."])
    if Job.objects.filter(pk__in=jobs).exclude(state="verified").exists():
        findings.blame(KIND, ["A job was not verified."])
