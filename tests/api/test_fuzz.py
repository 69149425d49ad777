"""The whole schema, fuzzed: no answer is a failure of the server's, and none is other than the schema says.

`COMPUTENET_FUZZ_REQUESTS` sets how many requests at least; a few hundred where it is not set.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from marketplace.actions import coordination
from tests.api.server import Server

pytestmark = pytest.mark.processes
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
REQUESTS = int(os.environ.get("COMPUTENET_FUZZ_REQUESTS", "200"))
PHASES = "coverage,fuzzing,stateful" if REQUESTS >= 2000 else "fuzzing"
SEED = os.environ.get("COMPUTENET_FUZZ_SEED", "1")


def requests_in(log: str) -> int:
    return len(re.findall(r'"[A-Z]+ /\S* HTTP/1\.1" \d{3}', log))


def test_no_request_breaks_the_server_or_leaves_its_schema(committed_db: str, tmp_path: Path) -> None:
    coordination.run_cycle()  # a network whose cycle has run is ready, and not 503
    server = Server(tmp_path, LOG_LEVEL="ERROR", POLICY_CYCLE_LATE_AFTER_SECONDS="3600")
    try:
        server.wait_until_up()
        examples = max(2, REQUESTS // 40)
        done = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/schema/", "--checks", CHECKS,
             "--max-examples", str(examples), "--phases", PHASES,
             "--seed", SEED, "--continue-on-failure", "--no-color", "--suppress-health-check", "all",
             "--request-timeout", "30", "--wait-for-schema", "5"],
            cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        log = server.log.read_text()
    finally:
        server.stop()
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
    count = requests_in(log)
    print(f"{count:,} requests")
    assert count >= REQUESTS
    assert "Traceback" not in log, log[-5000:]
    assert not re.search(r'HTTP/1\.1" 5\d\d', log)
