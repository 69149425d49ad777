"""Every pool works, stops without losing a job, and takes its work from Redis or from its heartbeats."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from marketplace.models import Worker
from tests.broker.network import Machine, Network, assignment_of, long_job, small_job, wait_until
from tests.factories import make_client
from tests.sandbox.running import descendants

pytestmark = pytest.mark.processes
POOLS = [["-P", "threads"], ["-P", "solo"], ["-P", "prefork", "-c", "1"]]
names = pytest.mark.parametrize("pool", POOLS, ids=["threads", "solo", "prefork"])


@pytest.fixture(scope="module")
def network(modules_committed_db: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    network = Network(tmp_path_factory.mktemp("network"))
    try:
        make_client(balance=100_000)
        yield network
    finally:
        network.close()


def over(network: Network, machine: Machine) -> None:
    """End a machine, and give it nothing more: for a few seconds it would still pass for one that is there."""
    machine.end()
    Worker.objects.filter(pk=machine.credentials["worker"]).update(is_active=False)
    network.machines.remove(machine)


@names
def test_each_pool_computes_and_a_stop_loses_no_job(network: Network, tmp_path: Path, pool: list[str]) -> None:
    machine = network.start(f"redis_{pool[1]}", *pool).ready()
    for job in [small_job() for _ in range(3)]:
        network.until(job, "verified")
    last = network.until(long_job(tmp_path / "data.npy"), "computing")
    machine.signal(signal.SIGTERM)
    network.until(last, "verified", 40)
    assert machine.process.wait(20) == 0
    assert (last.attempt, last.worker.name) == (1, f"redis_{pool[1]}")
    over(network, machine)


@names
def test_each_pool_takes_its_work_over_https_alone(
    network: Network, tmp_path: Path, pool: list[str], redis_url: str
) -> None:
    name = f"https_{pool[1]}"
    machine = network.start(name, *pool, COMPUTENET_TRANSPORT="https").ready()
    assert machine.credentials["transport"] == "https" and machine.row.queue == ""
    for job in [small_job() for _ in range(3)]:
        assert network.until(job, "verified").worker.name == name
    with redis.Redis.from_url(redis_url, decode_responses=True) as coordinator:
        assert f"w-{machine.row.pk}" not in coordinator.execute_command("ACL", "USERS")
        assert not coordinator.exists(machine.credentials["queue"])
    last = network.until(long_job(tmp_path / "data.npy"), "computing")
    machine.signal(signal.SIGTERM)
    network.until(last, "verified", 40)
    assert machine.process.wait(20) == 0
    assert (last.attempt, last.worker.name) == (1, name)
    over(network, machine)


def test_on_solo_a_job_that_a_quick_stop_breaks_off_comes_back_by_its_lease(network: Network, tmp_path: Path) -> None:
    first = network.start("first", "-P", "solo").ready()
    job = network.until(long_job(tmp_path / "data.npy"), "computing")
    first.signal(signal.SIGQUIT)
    first.process.wait(30)
    Worker.objects.filter(name="first").update(is_active=False)
    second = network.start("second").ready()
    network.until(job, "verified", 60)
    assert job.attempt == 2 or job.worker.name == "first"  # it may have ended just in time
    over(network, first)
    over(network, second)


def test_prefork_survives_a_killed_child(network: Network, tmp_path: Path) -> None:
    machine = network.start("forks", "-P", "prefork", "-c", "1").ready()
    job = network.until(long_job(tmp_path / "data.npy"), "computing")
    lost = assignment_of(job)
    wait_until(lambda: assignment_of(job).note, about=machine.log)  # the child has noted down what it computes
    for child in descendants(machine.process.pid):
        os.kill(child, signal.SIGKILL)

    def reported() -> bool:
        lost.refresh_from_db()
        return lost.state == "failed"

    wait_until(reported, 10, machine.log)
    assert (lost.fault, machine.process.poll()) == ("worker", None) and "killed" in lost.reason
    network.until(small_job(), "verified", 60)  # it goes on
    network.until(job, "verified", 60)
    assert (job.attempt, job.worker.name) == (2, "forks")
    over(network, machine)
