"""All measurements one after the other, each beside what it is held against: a table, or one JSON document.

    python -m benchmarks.everything [--small] [--only throughput,ledger] [--json]

Times are of this machine while it does nothing else; `docs/performance.md` says how each is taken.
"""

import json
import os
import platform
import sys
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from benchmarks import assigning, catalogue, command_line, fetch, ledger, throughput

PARTS: dict[str, Callable[[Any], None]] = {
    "throughput": throughput.show,
    "assigning": assigning.show,
    "ledger": ledger.show,
    "fetch": fetch.show,
    "catalogue": catalogue.show,
}


def measure(part: str, small: bool) -> Any:
    if part == "throughput":
        return throughput.measure(jobs=100 if small else 600, workers=throughput.WORKERS)
    if part == "assigning":
        return assigning.compare(assigning.SMALL, (10_000, 100) if small else assigning.LARGE)
    if part == "ledger":
        return ledger.measure(clients=8, seconds=5 if small else 10)
    if part == "fetch":
        return fetch.measure(megabytes=50 if small else 200)
    return catalogue.measure(part=20 if small else 1, repeat=2)


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--small", action="store_true", help="lesser sizes, some minutes in all")
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    arguments = parser.parse_args()
    wanted = arguments.only.split(",")
    if strange := set(wanted) - set(PARTS):
        sys.exit(f"There is no part {sorted(strange)[0]!r}; the parts are {', '.join(PARTS)}.")
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    found: dict[str, Any] = {"machine": machine}
    if not arguments.json:
        print(machine)
    for part in wanted:
        with patch.dict(os.environ):  # one part's database is gone before the next begins
            found[part] = measure(part, arguments.small)
        if not arguments.json:
            print(f"\n{part}")
            PARTS[part](found[part])
    if arguments.json:
        print(json.dumps(found))
    else:
        print("\nThe catalogue on a GPU is not measured here: tests/catalog checks it where there is one.")


if __name__ == "__main__":
    main()
