"""Transfers a second through the ledger's own action, beside pgbench's TPC-B on the same PostgreSQL.

    python -m benchmarks.ledger [--seconds 10] [--clients 8] [--json]

Both have eight clients, each with a connection of its own, and the server is as durable as in production. TPC-B is
three updates, one reading and one insertion a transaction, from C; a transfer locks two of a hundred wallets and
inserts a row whose triggers move both balances and note it for the sealed log, from Python: one process a client.
"""

import re
import subprocess
import sys
import tempfile
import time
from typing import Any

from benchmarks import command_line
from computenet.sandbox.stack import ROOT
from tests.postgres import Server

SCALE = 10  # a hundred tellers and a million accounts
STARTING_SECONDS = 25.0  # in which all clients have imported what they need


def tpc_b(server: Server, clients: int, seconds: int) -> float:
    """Transactions a second."""
    program = str(server.programs / "pgbench")
    subprocess.run([program, "-q", "-i", "-s", str(SCALE), server.url()], check=True, capture_output=True)
    command = [program, "-c", str(clients), "-j", "2", "-T", str(seconds), "-M", "prepared", server.url()]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"pgbench said: {done.stdout}")
    return float(found[1])


def transfers(server: Server, clients: int, seconds: int) -> float:
    with tempfile.TemporaryDirectory(prefix="computenet-ledger-") as home:
        environment = command_line.environment(server.url(), home)
        command = [sys.executable, "-m", "benchmarks.ledger_client"]
        subprocess.run([*command, "prepare"], env=environment, cwd=ROOT, check=True)
        begins_at = str(time.time() + STARTING_SECONDS)
        running = [
            subprocess.Popen([*command, begins_at, str(seconds)], env=environment, cwd=ROOT, stdout=subprocess.PIPE)
            for _ in range(clients)
        ]
        counts = [int(each.communicate()[0]) for each in running]
    if any(each.returncode for each in running):
        raise RuntimeError("a client failed; its error is above")
    return sum(counts) / seconds


def measure(clients: int, seconds: int) -> dict[str, Any]:
    server = Server(durable=True)
    try:
        theirs, ours = tpc_b(server, clients, seconds), transfers(server, clients, seconds)
    finally:
        server.stop()
    return {"transfers_a_second": ours, "tpc_b_a_second": theirs, "of_tpc_b": ours / theirs, "clients": clients}


def show(found: dict[str, Any]) -> None:
    print(f"{found['clients']} clients: {found['transfers_a_second']:.0f} transfers a second, ", end="")
    print(f"{found['of_tpc_b']:.2f} of TPC-B's {found['tpc_b_a_second']:.0f} (goal 1.0)")


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--clients", type=int, default=8)
    arguments = parser.parse_args()
    command_line.report(measure(arguments.clients, arguments.seconds), show, as_json=arguments.json)


if __name__ == "__main__":
    main()
