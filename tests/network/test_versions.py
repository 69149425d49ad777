"""Real Celery workers of other versions at a real web process: served, drained, and told what to do."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings

from marketplace.actions import coordination, settlement, workers
from marketplace.models import Assignment, Job, Worker
from tests import factories as make
from tests.api.server import Server
from tests.workers.processes import ROOT, wait_until
from workers.protocol import PROTOCOL_VERSION

pytestmark = pytest.mark.processes


class OldWorker:
    def __init__(self, home: Path, server: Server, protocol: int, key: str) -> None:
        self.output = home.with_name(f"worker-{protocol}.log")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("COMPUTENET_", "CELERY"))}
        given = {"COMPUTENET_URL": server.url, "COMPUTENET_KEY": key, "COMPUTENET_WORKER_HOME": str(home)}
        given |= {"COMPUTENET_DEVICE": "cpu", "COMPUTENET_TRANSPORT": "https", "ANNOUNCED_PROTOCOL": str(protocol)}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "tests.network.old_worker", "worker", "-linfo", "-Psolo"],
                cwd=ROOT, env=kept | given, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def log(self) -> str:
        return self.output.read_text(errors="replace")

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def server(committed_db: str, tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    made.wait_until_up()
    yield made
    made.stop()


@contextmanager
def running(*arguments: object) -> Iterator[OldWorker]:
    worker = OldWorker(*arguments)  # type: ignore[arg-type]
    try:
        yield worker
    finally:
        worker.end()


def state(job: Job) -> str:
    """The job's state after another look of the coordinator and the verifier."""
    coordination.run_cycle()
    for assignment in Assignment.objects.filter(job=job, state="submitted"):
        settlement.verify(assignment_id=assignment.pk)
    job.refresh_from_db()
    return job.state


def test_the_version_before_works_on_and_the_one_before_that_is_drained_and_told_how_to_upgrade(
    server: Server, tmp_path: Path
) -> None:
    make.make_client()
    made = workers.register_worker(name="old", gpu_type="CPU", compute_capacity=1, stake_amount=150, user=None)
    command, home = settings.WORKER_UPGRADE_COMMAND, tmp_path / "host"
    with running(home, server, PROTOCOL_VERSION - 1, made.enrolment_key) as worker:
        first = make.make_job()
        wait_until(lambda: state(first) == "verified", 60, worker.log)
        wait_until(lambda: f"Upgrade it with `{command}`" in worker.log(), about=worker.log)
        assert "drains" not in worker.log()
    with running(home, server, PROTOCOL_VERSION - 2, made.enrolment_key) as worker:
        wait_until(lambda: "drains this worker" in worker.log(), 60, worker.log)
        assert f"it gets no jobs until it is upgraded. Upgrade it with `{command}`" in worker.log()
        second = make.make_job()
        assert state(second) == "pending"
    assert Worker.objects.get(name="old").protocol == PROTOCOL_VERSION - 2
    with running(home, server, PROTOCOL_VERSION, made.enrolment_key) as worker:  # as it was told
        wait_until(lambda: state(second) == "verified", 60, worker.log)
        assert "protocol" not in worker.log()
