"""A Redis and small coordinators for the tests of a contributor's Celery worker."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.workers.coordinator import Coordinator
from tests.workers.processes import CeleryWorker
from tests.workers.redis_server import RedisServer


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def coordinator(redis_server: RedisServer) -> Iterator[Coordinator]:
    coordinator = Coordinator(redis_server)
    yield coordinator
    coordinator.stop()


StartWorker = Callable[..., CeleryWorker]


@pytest.fixture
def start_worker(coordinator: Coordinator, tmp_path: Path) -> Iterator[StartWorker]:
    """Start Celery workers on one home; whatever still runs is ended after the test."""
    started: list[CeleryWorker] = []

    def start(*arguments: str, **environment: str) -> CeleryWorker:
        started.append(CeleryWorker(tmp_path / "home", coordinator, *arguments, **environment))
        return started[-1]

    yield start
    for worker in started:
        worker.end()
