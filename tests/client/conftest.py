"""One sandbox for all of the client's tests that need a network, and nobody's own configuration in any of them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from computenet_client import Network
from tests.sandbox.running import Sandbox, free_port, running

TOKENS = 1_000_000
# The client speaks HTTP alone, so the suite's run on PostgreSQL would only say the same again.
collect_ignore_glob = ["*"] if os.environ.get("COMPUTENET_TEST_DATABASE") == "postgres" else []


@pytest.fixture(autouse=True)
def nobodys_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("COMPUTENET_URL", "COMPUTENET_CLIENT", "COMPUTENET_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    soon_large = {"MATRIX_AT_ONCE_CELLS": "2000"}  # the recipe of a larger table is followed by a task
    with running(tmp_path_factory.mktemp("client-sandbox"), free_port(), soon_large) as started:
        yield started


@pytest.fixture(scope="session")
def network(sandbox: Sandbox) -> Network:
    """The sandbox as a client with money, and with a worker whose stake lets it take many jobs at a time."""
    found = Network(sandbox.address, client="alice")
    found.register(TOKENS)
    found.add_worker("client_tests", gpu_type="RTX 4090", tflops=82.6, stake=10_000)
    return found


@pytest.fixture
def default_network(network: Network, monkeypatch: pytest.MonkeyPatch) -> Network:
    """The same, as the one that is taken where none is named."""
    monkeypatch.setenv("COMPUTENET_URL", network.url)
    monkeypatch.setenv("COMPUTENET_CLIENT", "alice")
    return network
