"""The benchmark of open pages at a small size: the same code, on this suite's database and Redis."""

import os

from benchmarks import live
from tests.api.server import Server

SIZE = {"sockets": 12, "rate": 10, "seconds": 3} if not os.environ.get("COMPUTENET_LIVE_LOAD") else {
    "sockets": 200, "rate": 20, "seconds": 300,
}  # fmt: skip


def test_every_ending_reaches_every_open_page(committed_db, tmp_path):
    server = Server(tmp_path, DATABASE_URL=committed_db, COMPUTENET_SANDBOX="1")
    try:
        server.wait_until_up()
        environment = {**os.environ, "DATABASE_URL": committed_db}
        outcome = live.run(server.url, server.process.pid, environment, **SIZE)
    finally:
        server.stop()
    print(outcome)
    assert outcome.ended == SIZE["rate"] * SIZE["seconds"] and outcome.lost == 0, outcome
    assert len(outcome.latencies) == outcome.ended * outcome.sockets
