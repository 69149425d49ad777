"""The client with API keys on a network that is no sandbox."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from computenet_client import Network, NotAllowed, NotFound, config
from computenet_client.cli import main
from marketplace.actions import keys
from marketplace.domain.access import Scope
from tests.api.server import Server
from tests.dashboard import cast

pytestmark = pytest.mark.processes
X = np.arange(12.0).reshape(6, 2)


@pytest.fixture
def closed(committed_db: str, tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path, COMPUTENET_SANDBOX="0", ALLOWED_HOSTS="127.0.0.1")
    try:
        server.wait_until_up()
        yield server
    finally:
        server.stop()


def as_olga(closed: Server, *scopes: Scope) -> Network:
    """The operator, whose client may begin with tokens."""
    key = keys.make_key(user=cast.olga(), name="client", scopes=[scope.value for scope in scopes or Scope]).secret
    return Network(closed.url, key, client="lab")


def test_with_a_key_a_client_submits_pays_and_calls_off(closed: Server) -> None:
    network = as_olga(closed)
    assert network.register(1000) == 1000
    job = network.submit("pca", X, n_components=1, reward=5)
    assert network.balance() == 995
    assert [each.id for each in network.jobs()] == [job.id]
    assert network.upload(X).rows == 6
    assert job.cancel().status == "cancelled" and network.balance() == 1000
    bobs = keys.make_key(user=cast.bob(), name="his", scopes=["read", "submit"]).secret
    bob = Network(closed.url, bobs, client="bobs")
    bob.register()
    network.transfer("bobs", 2.5)
    assert (network.balance(), bob.balance()) == (997.5, 2.5)
    with pytest.raises(NotFound):
        bob.job(job.id)


def test_without_a_key_or_with_one_that_does_not_open_this_the_error_says_what_to_do(closed: Server) -> None:
    olga = cast.olga()
    with pytest.raises(NotAllowed, match="Make an API key on the network's page, then run `computenet login`"):
        Network(closed.url, client="lab").balance()
    with pytest.raises(NotAllowed, match="unknown, expired or revoked"):
        Network(closed.url, "cnk_wrong", client="lab").balance()
    reader = keys.make_key(user=olga, name="reader", scopes=["read"]).secret
    with pytest.raises(NotAllowed):
        Network(closed.url, reader, client="lab").register()


def test_logging_in_keeps_a_key_that_opens_and_no_other(closed: Server) -> None:
    network = as_olga(closed)
    network.register(10)
    key = network.transport.key
    assert key
    arguments = ["login", closed.url, "--client", "lab", "--key-stdin"]
    refused = CliRunner().invoke(main, arguments, input="cnk_wrong\n")
    assert refused.exit_code == 5 and not config.path().exists()
    done = CliRunner().invoke(main, arguments, input=f"{key}\n")
    assert done.exit_code == 0 and key not in done.output
    assert config.load().key == key
    assert Network.default().balance() == 10
