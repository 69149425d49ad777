"""Redis as it comes and goes: users follow the workers' rows, whatever Redis forgot or did not hear of."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from django.core.checks import run_checks
from redis.backoff import NoBackoff
from redis.retry import Retry

from computenet.sandbox.embedded_redis import EmbeddedRedis, free_port
from marketplace import broker
from marketplace.actions import workers
from marketplace.models import Worker
from tests import factories as make
from tests.sandbox.running import Sandbox, running, wait_until


@contextmanager
def served(server: EmbeddedRedis) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(server.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        server.wait_until_up()
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def own(tmp_path: Path, settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedRedis]:
    """A Redis that this test may stop; the coordinator's connection goes there."""
    server = EmbeddedRedis.plan(tmp_path / "redis")
    settings.REDIS_URL = settings.PUBLIC_BROKER_URL = server.url
    connection = redis.Redis.from_url(server.url, socket_timeout=2, retry=Retry(NoBackoff(), 1))
    monkeypatch.setattr(broker, "connection", lambda: connection)
    yield server
    connection.close()


def enrolled(name: str) -> tuple[Worker, dict]:
    made = workers.register_worker(name=name, gpu_type="A100", compute_capacity=19.5, stake_amount=150, user=None)
    reply = make.enrol(made.enrolment_key, "A100")
    return Worker.objects.get(pk=made.worker.pk), reply


def lets_in(reply: dict) -> bool:
    try:
        with redis.Redis.from_url(reply["broker_url"], retry=Retry(NoBackoff(), 0)) as door:
            return bool(door.ping())
    except redis.exceptions.AuthenticationError:
        return False


@pytest.mark.django_db
def test_users_come_back_at_the_first_cycle_after_redis_was_restarted_empty(own: EmbeddedRedis) -> None:
    with served(own):
        _, reply = enrolled("w")
        assert broker.restore_users() and not broker.restore_users()
    assert not broker.restore_users()  # Redis is away: nothing is taken for done
    with served(own):
        assert not lets_in(reply)
        assert broker.restore_users() and lets_in(reply)
        assert not broker.restore_users()


@pytest.mark.django_db
def test_what_redis_did_not_hear_of_is_made_good_once_it_is_back(own: EmbeddedRedis) -> None:
    with served(own):
        (away, kept), (suspended, cut) = enrolled("away"), enrolled("suspended")
        broker.restore_users()
        coordinator = broker.connection()
        reach, broker.connection = (
            broker.connection,
            lambda: redis.Redis(port=1, retry=Retry(NoBackoff(), 0)),
        )  # cut off
        Worker.objects.filter(pk=away.pk).update(broker_secret_sha256=workers.digest("new"))
        broker.admit([away])
        workers.set_active(worker=suspended, active=False, actor="olga", reason="test")
        broker.connection = reach
        assert lets_in(cut)  # Redis does not know
        coordinator.execute_command("ACL", "SETUSER", "w-00000000-0000-0000-0000-000000000000", "on", "nopass", "~*")
        coordinator.execute_command("ACL", "SETUSER", broker.username(away), "+@all")
        coordinator.pexpire(broker.CHECKED, 1)
        time.sleep(0.01)
        assert broker.restore_users()
        assert not lets_in(cut) and not lets_in(kept)
        assert coordinator.execute_command("ACL", "USERS") == [
            name.encode() for name in sorted(["computenet-users", "coordinator", "default", broker.username(away)])
        ]
        new = {**kept, "broker_url": broker.url_for(away, "new")}
        assert lets_in(new)
        with redis.Redis.from_url(new["broker_url"]) as door, pytest.raises(redis.exceptions.NoPermissionError):
            door.keys("*")


@pytest.mark.django_db
def test_a_suspension_between_reading_and_writing_is_not_undone(
    own: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(own):
        worker, reply = enrolled("w")
        read = broker._enterers
        calls = []

        def enterers(**where):
            found = read(**where)
            if not calls:  # somebody else suspends it now, and is done with Redis before we begin
                Worker.objects.filter(pk=worker.pk).update(is_active=False)
            calls.append(where)
            return found

        monkeypatch.setattr(broker, "_enterers", enterers)
        broker.admit([worker])
        assert not lets_in(reply) and len(calls) >= 2


@pytest.mark.django_db
def test_where_redis_makes_no_users_work_comes_over_https_and_a_check_says_so(own: EmbeddedRedis, settings) -> None:
    with served(own):
        assert not [each for each in run_checks(include_deployment_checks=True) if each.id == "marketplace.W001"]
        broker.connection().execute_command("ACL", "SETUSER", "coordinator", "-acl")
        assert not broker.makes_users()
        worker, reply = enrolled("w")
        assert (reply["transport"], reply["broker_url"], worker.queue) == ("https", "", "")
        assert [each for each in run_checks(include_deployment_checks=True) if each.id == "marketplace.W001"]
        assert not broker.restore_users()
        make.make_client()
        assignment = make.assign(make.make_job())
        assert assignment.worker == worker
        assert make.beat(worker)["take"] == [str(assignment.pk)]
        assert list(broker.connection().scan_iter("gpu.*")) == []
        make.start(assignment)
        assert make.beat(worker, assignment)["take"] == []
    settings.PUBLIC_BROKER_URL = ""
    assert enrolled("v")[1]["transport"] == "https"


@pytest.mark.django_db
def test_a_machine_that_goes_over_to_https_loses_its_way_into_redis(own: EmbeddedRedis) -> None:
    with served(own):
        worker, before = enrolled("w")
        assert lets_in(before) and "take" not in make.beat(worker)
        after = make.enrol("", "A100", machine=worker, transport="https")
        assert after["transport"] == "https" and not lets_in(before)
        worker.refresh_from_db()
        assert make.beat(worker)["take"] == []


@pytest.mark.processes
def test_workers_resume_after_redis_was_restarted_empty(tmp_path: Path) -> None:
    server = EmbeddedRedis.plan(tmp_path / "redis")

    def verified(sandbox: Sandbox) -> float:
        began = time.monotonic()
        body = {"client_address": "alice", "model_type": "linear_regression", "reward": 10}
        job = sandbox.call("POST", "/job/submit", body)["job_id"]
        wait_until(lambda: sandbox.call("GET", f"/job/{job}/status")["status"] == "verified", 40)
        return time.monotonic() - began

    with served(server) as process, running(tmp_path / "home", free_port(), {"REDIS_URL": server.url}) as sandbox:
        sandbox.call("POST", "/client/register", {"client_address": "alice", "initial_balance": 1000})
        verified(sandbox)
        process.kill()
        process.wait()
        with served(server):
            print(f"verified {verified(sandbox):.1f} s after Redis came back empty")
