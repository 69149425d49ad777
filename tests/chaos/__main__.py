"""``python -m tests.chaos [--scale 0.02] [--seed N] [--only bank,storm] [--json]``: see docs/recovery.md."""

import argparse
import os
import secrets
import signal
import sys
import tempfile
import traceback
from pathlib import Path

from tests.chaos.findings import Findings
from tests.chaos.network import Network
from tests.chaos.scale import Scale
from tests.postgres import NoPostgres, Server

PHASES = ("storm", "points", "frozen", "away", "disk", "bank")
MOST_SECONDS = 1200


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Faults against a whole real network.")
    parser.add_argument("--scale", type=float, help="of the full size, at most 1 (or CHAOS_SCALE)")
    parser.add_argument("--seed", type=int, default=None, help="of the faults' order (or CHAOS_SEED)")
    parser.add_argument("--only", default=",".join(PHASES), help=f"some of {','.join(PHASES)}")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    options = parser.parse_args()
    try:
        scale = Scale.from_environment(factor=options.scale)
    except ValueError as problem:
        parser.error(str(problem))
    phases = options.only.split(",")
    if unknown := set(phases) - set(PHASES):
        parser.error(f"There is no {', '.join(sorted(unknown))}; choose of {','.join(PHASES)}.")
    seed = options.seed if options.seed is not None else int(os.environ.get("CHAOS_SEED") or secrets.randbelow(10**6))
    findings = Findings(seed)
    findings.say(f"seed {seed}, {scale}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.alarm(MOST_SECONDS)
    try:
        with tempfile.TemporaryDirectory(prefix="computenet-chaos-", ignore_cleanup_errors=True) as folder:
            _run(findings, scale, phases, Path(folder))
    except NoPostgres as problem:
        sys.exit(str(problem))
    except Exception:
        findings.blame("the run itself", [traceback.format_exc()])
    print(findings.as_json() if options.json else findings.table())
    return 0 if findings.ok else 1


def _out_of_time(*_: object) -> None:
    raise TimeoutError(f"The run took more than {MOST_SECONDS} s.")


def _run(findings: Findings, scale: Scale, phases: list[str], folder: Path) -> None:
    server = Server(durable=True)
    network = Network(folder, server, server.url())
    try:
        network.start_redis()
        os.environ.update(network.environment, LOG_LEVEL="ERROR")
        # Only now, because settings are read from the environment by whoever imports them first.
        from tests.chaos import phases as all_phases  # noqa: PLC0415

        all_phases.run(findings, scale, phases, network)
    finally:
        network.close()
        server.stop()


if __name__ == "__main__":
    sys.exit(main())
