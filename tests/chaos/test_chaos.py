"""`make chaos` small, with the same code; and what a run must never do: call something held that was not tried."""

import json
import os
import subprocess
import sys

import pytest

from tests.chaos.findings import Findings
from tests.chaos.scale import Scale
from tests.sandbox.running import ROOT

pytestmark = pytest.mark.processes
PARTS = "storm,points,frozen,disk,bank"
OURS = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "COMPUTENET_HOME")  # of the tests' own Django


def run(module: str, *arguments: str, seconds: float) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in OURS}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=ROOT, env=kept, capture_output=True, text=True, timeout=seconds)


def test_a_small_storm_of_every_fault_loses_nothing() -> None:
    # Without "away": its leases of 3 s want a machine that no other test keeps busy. `make chaos` has it.
    done = run("tests.chaos", "--scale", "0.01", "--seed", "5", "--only", PARTS, "--json", seconds=600)
    assert done.stdout, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert [row["problems"] for row in found["faults"] if row["problems"]] == [], done.stderr[-3000:]
    assert found["ok"] and done.returncode == 0
    tried = {row["fault"]: row["count"] for row in found["faults"] if row["verdict"] == "held"}
    assert tried["bank: PostgreSQL crashed (immediate)"] >= 2
    assert tried["Redis wiped (FLUSHALL)"] >= 1 and tried["SIGKILL of worker"] >= 1
    assert tried["late answer of a frozen process"] >= 1 and tried["killed at a commit or publish point"] >= 1


def test_a_process_with_a_pool_answers_every_request_after_postgres_was_restarted() -> None:
    done = run("tests.chaos.pooled", seconds=120)
    assert done.stdout.splitlines() == ["1 1", "1 1 1 1"], done.stdout + done.stderr[-2000:]


def test_the_full_size_is_what_was_promised_and_a_factor_makes_it_smaller() -> None:
    full = Scale.from_environment({})
    assert (full.transfers, full.crashes, full.jobs, full.kills, full.wipes) == (200_000, 20, 2_000, 200, 20)
    assert (full.freezes, full.away_workers, full.away_seconds) == (20, 10, 60)
    small = Scale.from_environment({"CHAOS_SCALE": "0.01", "CHAOS_KILLS": "7"})
    assert small.transfers == 2_000 and small.kills == 7
    with pytest.raises(ValueError, match="at most 1"):
        Scale.from_environment({"CHAOS_SCALE": "2"})


def test_one_broken_promise_fails_the_run_and_an_empty_run_is_no_success() -> None:
    findings = Findings(seed=1)
    assert not findings.ok
    findings["a fault"].count = 1
    assert findings.ok
    findings.blame("a fault", ["1 jobs were paid twice."])
    assert not findings.ok and "FAILED" in findings.table() and not json.loads(findings.as_json())["ok"]
