"""How fast pending jobs are given to workers, and whether that stays so as both grow.

    python -m benchmarks.assigning [--large 100000 1000] [--small 1000 10] [--json]

Fills a PostgreSQL of its own with so many pending jobs and free workers, both small and large in the same run, and lets
the coordinator's own action assign until four thousand jobs are given, or all where there are fewer. Beside the rate it
tells each assignment's time and CPU, how many jobs were given twice (none), and what the process holds in memory. Rows
are copied past the guards, which are there again when the clock starts; messages are counted and go nowhere.
"""

import json
import subprocess
import sys
import tempfile
from typing import Any

from benchmarks import command_line
from computenet.sandbox.stack import ROOT
from tests.postgres import Server

LARGE, SMALL = (100_000, 1_000), (1_000, 10)


def measured(size: tuple[int, int]) -> dict[str, Any]:
    """One size, in a database and a process of its own, so that both sizes begin alike."""
    server = Server()
    try:
        with tempfile.TemporaryDirectory(prefix="computenet-assigning-") as home:
            environment = command_line.environment(server.url(), home)
            command = [sys.executable, "-m", "benchmarks.assigning_run", *map(str, size)]
            done = subprocess.run(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, check=True)
        found: dict[str, Any] = json.loads(done.stdout)
        return found
    finally:
        server.stop()


def compare(small: tuple[int, int], large: tuple[int, int]) -> dict[str, Any]:
    first, second = measured(small), measured(large)
    return {"small": first, "large": second, "times": second["ms_each"] / first["ms_each"]}


def show(found: dict[str, Any]) -> None:
    for size in (found["small"], found["large"]):
        print(f"{size['jobs']:>9,} pending jobs, {size['workers']:>6,} workers: ", end="")
        print(f"{size['a_second']:.0f} assigned a second, {size['ms_each']:.2f} ms each, ", end="")
        print(f"{size['cpu_ms_each']:.2f} of it this process's CPU; {size['twice']} given twice; ", end="")
        print(f"{size['more_memory_kib'] / 1024:.0f} MiB more memory")
    print(f"A job takes {found['times']:.2f} times as long in the large one (goal: 1.5 at most, 1,000 a second).")


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--large", type=int, nargs=2, default=LARGE, metavar=("JOBS", "WORKERS"))
    parser.add_argument("--small", type=int, nargs=2, default=SMALL, metavar=("JOBS", "WORKERS"))
    arguments = parser.parse_args()
    command_line.report(compare(tuple(arguments.small), tuple(arguments.large)), show, as_json=arguments.json)


if __name__ == "__main__":
    main()
