"""Two contributors' Celery workers on one network, and what one of them may try against the other and the rest."""

import hashlib
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import current_app

from marketplace import dispatch
from marketplace.actions import workers
from marketplace.models import Transfer, Worker
from tests.broker.hostile import commands
from tests.broker.network import Machine, Network, assignment_of, long_job, small_job, wait_until
from tests.factories import make_client, right_answer
from workers.protocol import DIGEST_HEADER, FENCE_HEADER, SECONDS_HEADER, TASK_NAME

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def network(modules_committed_db: str, tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Network]:
    """Outside the sandbox: what is not said to be open is closed."""
    closed = {"COMPUTENET_SANDBOX": "0", "ALLOWED_HOSTS": "127.0.0.1", "PUBLIC_BROKER_URL": redis_url}
    network = Network(tmp_path_factory.mktemp("network"), **closed)
    try:
        make_client(balance=100_000)
        for machine in [network.start("mallory"), network.start("bob")]:
            machine.ready()
        yield network
    finally:
        network.close()


@pytest.fixture
def mallory(network: Network) -> Machine:
    return network.machines[0]


@pytest.fixture
def bob(network: Network) -> Machine:
    return network.machines[1]


def connect(machine: Machine) -> redis.Redis:
    return redis.Redis.from_url(machine.credentials["broker_url"], socket_timeout=5)


def test_every_hostile_command_is_refused(mallory: Machine, bob: Machine, redis_url: str) -> None:
    coordinator = redis.Redis.from_url(redis_url)
    tried = commands(mallory.credentials["queue"], bob.credentials["queue"])
    assert len(tried) >= 90
    before = coordinator.execute_command("ACL", "LIST")
    answered = []
    with connect(mallory) as user:
        for command in tried:
            try:
                answered.append((command, user.execute_command(*command)))
            except redis.exceptions.NoPermissionError:
                continue
            except redis.exceptions.ResponseError as refusal:  # no such command in this version, or switched off
                assert re.search("unknown (sub)?command|(DEBUG|MODULE) command not allowed", str(refusal), re.I), (
                    command,
                    refusal,
                )
    assert answered == []
    assert coordinator.execute_command("ACL", "LIST") == before
    assert coordinator.dbsize() > 0


def test_a_transaction_hides_no_command_and_runs_none(mallory: Machine, bob: Machine) -> None:
    with connect(mallory) as user:
        for command in (
            ["LPUSH", mallory.credentials["queue"], "x"],
            ["LLEN", bob.credentials["queue"]],
            ["FLUSHALL"],
        ):
            with user.pipeline(transaction=True) as pipe:
                pipe.llen(mallory.credentials["queue"])
                pipe.execute_command(*command)
                with pytest.raises(redis.exceptions.ResponseError, match="no permissions|NOPERM|EXECABORT"):
                    pipe.execute()


def test_redis_lets_nobody_in_without_a_password_and_no_worker_as_another(mallory: Machine, bob: Machine) -> None:
    place = mallory.credentials["broker_url"].rpartition("@")[2]
    secret = mallory.credentials["broker_url"].split("@")[0].rpartition(":")[2]
    other = f"w-{bob.credentials['worker']}"
    for who in (
        "",
        "default:@",
        ":@",
        f"default:{secret}@",
        f"{other}:{secret}@",
        f"coordinator:{secret}@",
        f"{other}:@",
    ):
        with pytest.raises(redis.exceptions.AuthenticationError), redis.Redis.from_url(f"redis://{who}{place}") as door:
            door.ping()


def test_neither_of_two_workers_can_read_take_answer_or_see_what_is_the_others(
    network: Network, mallory: Machine, bob: Machine, tmp_path: Path
) -> None:
    Worker.objects.filter(name="mallory").update(draining=True)
    job = network.until(long_job(tmp_path / "data.npy"), "computing")
    assignment = assignment_of(job)
    assert assignment.worker == bob.row
    path, matrix = f"/assignment/{assignment.pk}", f"/dataset/{job.dataset.matrix_sha256}"
    headers = {
        FENCE_HEADER: str(assignment.fence),
        DIGEST_HEADER: hashlib.sha256(b"x").hexdigest(),
        SECONDS_HEADER: "1",
    }
    before = assignment.lease_expires_at

    assert bob.call("GET", matrix, headers={"Range": "bytes=0-9"}).status_code == 206
    assert mallory.call("GET", matrix).status_code == 404
    assert mallory.call("POST", f"{path}/start", {}).status_code == 404
    failure = {"fence": assignment.fence, "fault": "job", "error": "It is broken."}
    assert mallory.call("POST", f"{path}/failure", failure).status_code == 404
    assert mallory.call("PUT", f"{path}/result", data=b"x", headers=headers).status_code == 404
    beat = {"assignment": str(assignment.pk), "fence": assignment.fence, "progress": 0.1, "note": "mine"}
    body = {"assignments": [beat], "load": None, "memory_free_bytes": None, "temperature_celsius": None}
    assert mallory.call("POST", "/worker/heartbeat", body).json()["cancel"] == [str(assignment.pk)]
    for seen in (f"/job/{job.pk}/status", f"/job/{job.pk}/result", "/jobs", f"/datasets/{job.dataset.sha256}"):
        assert mallory.call("GET", seen).status_code in (401, 403, 404), seen
        assert bob.call("GET", seen).status_code in (401, 403, 404), seen  # a machine is no client, not even its own
    assignment.refresh_from_db()
    assert assignment.note != "mine" and assignment.state == "started" and assignment.lease_expires_at >= before

    network.until(job, "verified", 40)
    Worker.objects.filter(name="mallory").update(draining=False)
    assert mallory.row.contributor.wallet.balance == 100_000_000  # what registering gave


def test_a_dead_assignment_opens_nothing(network: Network, bob: Machine) -> None:
    job = network.until(small_job(), "verified")
    assignment = assignment_of(job)
    machine = next(machine for machine in network.machines if machine.row == assignment.worker)
    path, dead = f"/assignment/{assignment.pk}", Transfer.objects.count()
    failure = {"fence": assignment.fence, "fault": "worker", "error": "It is broken."}

    assert machine.call("POST", f"{path}/start", {}).status_code == 409
    assert machine.call("GET", f"/dataset/{job.dataset.matrix_sha256}").status_code == 404
    assert machine.call("POST", f"{path}/failure", failure).status_code == 409
    headers = {
        FENCE_HEADER: str(assignment.fence),
        DIGEST_HEADER: hashlib.sha256(b"y").hexdigest(),
        SECONDS_HEADER: "1",
    }
    assert machine.call("PUT", f"{path}/result", data=b"y", headers=headers).status_code == 409
    headers[FENCE_HEADER] = str(assignment.fence + 1)
    assert machine.call("PUT", f"{path}/result", data=b"y", headers=headers).status_code == 410
    assert Transfer.objects.count() == dead
    assert right_answer(job)  # its data are still there for those who may read them


def test_forged_and_replayed_messages_move_no_money(network: Network, mallory: Machine, bob: Machine) -> None:
    job = network.until(small_job(), "verified")
    assignment = assignment_of(job)
    paid = Transfer.objects.count()
    mine, theirs = (machine.credentials["queue"] for machine in (mallory, bob))

    def forge(name: str, arguments: list, queue: str, **more: object) -> None:
        current_app.send_task(name, arguments, declare=(), queue=dispatch.route(queue), **more)

    for queue in (mine, theirs):
        forge(TASK_NAME, [str(assignment.pk)], queue, task_id=str(assignment.pk))  # a replay
        forge(TASK_NAME, [str(assignment.pk)], queue)  # under another name
        forge(TASK_NAME, [str(uuid.uuid4())], queue)
        forge(TASK_NAME, ["../../credentials.json"], queue)
        forge(TASK_NAME, [{"assignment": str(assignment.pk)}], queue)
        forge("marketplace.verify", [str(assignment.pk)], queue)
        forge("celery.backend_cleanup", [], queue)
        forge("os.system", ["touch /tmp/computenet-was-here"], queue)
    with redis.Redis.from_url(current_app.conf.broker_url) as coordinator:
        wait_until(lambda: not any(coordinator.llen(queue) for queue in (mine, theirs)))
    wait_until(lambda: mallory.log().count("os.system") and bob.log().count("os.system"), about=network.logs)
    assert not Path("/tmp/computenet-was-here").exists()
    assert Transfer.objects.count() == paid
    network.until(small_job(), "verified")  # and both go on
    assert Transfer.objects.count() == paid + 2


def test_suspension_cuts_a_worker_off_in_under_a_second(network: Network, mallory: Machine, redis_url: str) -> None:
    name = f"w-{mallory.credentials['worker']}"
    coordinator = redis.Redis.from_url(redis_url, decode_responses=True)

    def connected() -> list[str]:
        return [each["id"] for each in coordinator.client_list() if each["user"] == name]

    wait_until(connected)
    with connect(mallory) as user:
        assert user.ping()
        before = set(connected())
        began = time.monotonic()
        workers.set_active(worker=mallory.row, active=False, actor="olga", reason="test")
        wait_until(lambda: not before & set(connected()), 5)
        took = time.monotonic() - began
        with pytest.raises((redis.exceptions.AuthenticationError, redis.exceptions.ConnectionError)):
            user.ping()
    print(f"suspended and cut off within {took:.3f} s")
    assert took < 1.0
    job = network.until(small_job(), "verified")
    assert assignment_of(job).worker.name == "bob"
    workers.set_active(worker=mallory.row, active=True, actor="olga", reason="test")
    wait_until(connected, 20, mallory.log)  # it comes back by itself
