"""The proof of concept's Basic Flow, its curl commands as they stand, in the sandbox and on a closed network."""

import json
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from marketplace.actions import keys
from marketplace.domain.access import Scope
from marketplace.models import Account, Client, Event, Job, Worker
from tests.api.server import Server
from tests.dashboard import cast

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not shutil.which("curl"), reason="These commands need curl (Debian: apt install curl)."),
]

FLOW = [
    """curl -X POST http://localhost:5000/worker/register \
  -H "Content-Type: application/json" \
  -d '{"worker_id": "test_worker", "gpu_type": "RTX 4090", "compute_capacity": 82.6, "stake_amount": 150}'""",
    """curl -X POST http://localhost:5000/client/register \
  -H "Content-Type: application/json" \
  -d '{"client_address": "test_client", "initial_balance": 1000}'""",
    """curl -X POST http://localhost:5000/job/submit \
  -H "Content-Type: application/json" \
  -d '{"client_address": "test_client", "model_type": "linear_regression", "reward": 50}'""",
    "curl -X POST http://localhost:5000/network/coordination/trigger",
    "curl http://localhost:5000/network/stats",
    "curl http://localhost:5000/worker/test_worker/status",
    "curl http://localhost:5000/client/test_client/balance",
    "curl http://localhost:5000/jobs",
]


def run(command: str, server: Server, *more: str) -> tuple[int, Any]:
    """A command as it stands, but for the port; with one header more, if any. Answers status and body."""
    words = shlex.split(command.replace("localhost:5000", f"127.0.0.1:{server.port}"))
    done = subprocess.run(
        [*words, "--silent", "--write-out", "\n%{http_code}", *more], capture_output=True, text=True, timeout=60
    )
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body)


@pytest.fixture
def closed(committed_db: str, tmp_path: Path) -> Any:
    server = Server(tmp_path, COMPUTENET_SANDBOX="0", ALLOWED_HOSTS="127.0.0.1")
    try:
        server.wait_until_up()
        yield server
    finally:
        server.stop()


def test_with_an_operators_key_the_basic_flow_runs_on_a_closed_network(closed: Server) -> None:
    olga = cast.olga()
    key = keys.make_key(user=olga, name="flow", scopes=[scope.value for scope in Scope]).secret
    answers = []
    for command in FLOW:
        status, answer = run(command, closed, "-H", f"Authorization: Bearer {key}")
        assert status == 200, (command, answer)
        answers.append(answer)
    registered, client, job, triggered, stats, worker, balance, jobs = answers
    assert registered["worker_id"] == "test_worker" and registered["enrolment_key"]
    assert client == {"success": True, "client_address": "test_client", "balance": 1000}
    assert job["success"] is True and job["status"] == "pending" and triggered["success"] is True
    assert (stats["contract_state"]["total_workers"], stats["contract_state"]["pending_jobs"]) == (1, 1)
    assert (worker["stake"], balance["balance"], jobs["count"]) == (150, 950, 1)
    assert Worker.objects.get().contributor.user == Client.objects.get().user == olga
    # What was minted for it is on record, in the operator's name.
    assert Event.objects.filter(kind="ledger.minted", actor="olga").count() == 2


def test_without_a_key_and_with_a_strangers_nothing_of_it_happens(closed: Server) -> None:
    bob = cast.bob()
    key = keys.make_key(user=bob, name="his", scopes=["read", "submit", "contribute"]).secret
    for command in FLOW:
        status, answer = run(command, closed)
        assert status == 401 and answer["success"] is False, command
    statuses = [run(command, closed, "-H", f"Authorization: Bearer {key}")[0] for command in FLOW]
    # No stake in the wallet; no balance for the asking; no such client; coordination is the operator's.
    assert statuses == [400, 403, 404, 403, 200, 404, 404, 200]
    assert not Worker.objects.exists() and not Client.objects.exists() and not Job.objects.exists()
    assert not Account.objects.filter(kind="wallet").exists()


def test_in_the_sandbox_the_commands_run_unchanged(committed_db: str, tmp_path: Path) -> None:
    server = Server(tmp_path)
    try:
        server.wait_until_up()
        for command in FLOW:
            status, answer = run(command, server)
            assert status == 200, (command, answer)
    finally:
        server.stop()
