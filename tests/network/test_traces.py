"""One id followed by grep through the logs of web, coordinator, verifier and a contributor's worker."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from marketplace.actions import workers
from marketplace.models import Assignment, Job
from tests import factories as make
from tests.api.server import Server
from tests.network.test_versions import running
from tests.workers.processes import ROOT, wait_until
from workers.protocol import PROTOCOL_VERSION

pytestmark = pytest.mark.processes
REQUEST = "trace-me-0123456789"


def process(script: str) -> str:
    """What a process of the coordinator's side logs while it does `script`."""
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "-c", script],
        cwd=ROOT, env=os.environ | {"LOG_FORMAT": "json"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr


def grep(log: str, wanted: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.splitlines() if wanted in line and line.startswith("{")]


def test_one_request_is_followed_from_the_web_to_the_worker_and_to_its_verdict(
    committed_db: str, tmp_path: Path
) -> None:
    make.make_client()
    key = workers.register_worker(
        name="gpu", gpu_type="CPU", compute_capacity=1, stake_amount=150, user=None
    ).enrolment_key
    server = Server(tmp_path, LOG_FORMAT="json")
    server.wait_until_up()
    try:
        with running(tmp_path / "host", server, PROTOCOL_VERSION, key) as worker:
            wait_until(lambda: "enrolled at" in worker.log(), 60, worker.log)
            body = {"client_address": "alice", "model_type": "linear_regression", "reward": 5}
            answer = requests.post(f"{server.url}/job/submit", json=body, headers={"X-Request-ID": REQUEST}, timeout=30)
            job = answer.json()["job_id"]
            coordinator = process("from marketplace.actions.coordination import run_cycle; run_cycle()")
            wait_until(lambda: Job.objects.get(pk=job).state == "completed", 60, worker.log)
            assignment = str(Assignment.objects.get(job=job).pk)
            verifier = process(
                f"from marketplace.actions.settlement import verify; verify(assignment_id='{assignment}')"
            )
        web = server.log.read_text()
    finally:
        server.stop()
    submitted = grep(web, "is submitted")
    assert submitted[0]["request_id"] == REQUEST and submitted[0]["job_id"] == job
    for log in (web, coordinator, verifier):  # the request names the job, and the job's lines name the request
        lines = grep(log, REQUEST)
        assert any(line.get("assignment_id") == assignment and line["job_id"] == job for line in lines), log
    assert "came to: accepted" in grep(verifier, REQUEST)[-1]["event"]
    assert f"Assignment {assignment}" in worker.log()
