"""`manage.py simulate`: does cheating pay? A market of honest and cheating workers on the real rules."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress

from marketplace.domain import simulation
from marketplace.domain.simulation.agents import BASELINE, STRATEGIES, read_rates
from marketplace.domain.simulation.charts import all_charts
from marketplace.domain.simulation.report import Row, run_all, strategies_that_pay, summary, table
from marketplace.domain.simulation.setup import Setup
from marketplace.verification.calibration import calibrate

RATES = Path(simulation.__file__).with_name("rates.json")
TRIALS = 20  # for each model, data set and way to come by an answer


def percentages(text: str) -> list[float]:
    """ "5,20,40" as shares.

    Raises:
        ValueError: no numbers between 0 and 100.
    """
    shares = [float(part) / 100 for part in text.split(",")]
    if not all(0 < share < 1 for share in shares):
        raise ValueError("percentages lie between 0 and 100")
    return shares


class Command(BaseCommand):
    help = "Runs markets of honest and cheating workers and says what each strategy earns. Exits with 1 if one pays."
    requires_system_checks = []  # nothing here reads the database

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--jobs", type=int, default=4000, help="jobs in each market (4000)")
        parser.add_argument("--workers", type=int, default=40, help="workers in each market (40)")
        parser.add_argument("--cheaters", type=percentages, default="5,20,40", help="percent that cheat (5,20,40)")
        parser.add_argument("--load", type=float, default=0.8, help="work over what all workers could do (0.8)")
        parser.add_argument("--energy", type=float, default=2.0, help="tokens that a second of computing costs (2)")
        parser.add_argument("--strategy", choices=sorted(STRATEGIES), action="append", help="only this one")
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--json", action="store_true", help="print one JSON object, for programs")
        parser.add_argument("--svg", type=Path, metavar="FOLDER", help="write the curves there")
        parser.add_argument(
            "--calibrate", action="store_true", help="measure first what the checks see through, and keep it"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["jobs"] < 1 or options["workers"] < 2 or options["load"] <= 0 or options["energy"] < 0:
            raise CommandError("Give at least 1 job, 2 workers, a load above 0 and an energy of 0 or more.")
        if options["calibrate"]:
            self._calibrate(options["seed"])
        if not RATES.exists():
            raise CommandError("There are no measured rates yet: run manage.py simulate --calibrate.")
        document = json.loads(RATES.read_text())
        setup = Setup(
            BASELINE,
            jobs=options["jobs"],
            workers=options["workers"],
            load=options["load"],
            energy_rate=options["energy"],
        )
        chosen = [STRATEGIES[name] for name in options["strategy"] or STRATEGIES]
        with _progress(len(chosen) * len(options["cheaters"])) as done:
            rows = run_all(
                setup, settings.POLICY, read_rates(document), options["seed"], chosen, options["cheaters"], done
            )
        if options["json"]:
            measured = {key: document[key] for key in ("measured_at", "seed", "trials")}
            self.stdout.write(json.dumps({"seed": options["seed"], "rates": measured, "rows": list(map(asdict, rows))}))
        else:
            self._print(rows)
        if options["svg"]:
            options["svg"].mkdir(parents=True, exist_ok=True)
            for name, text in all_charts(rows).items():
                (options["svg"] / name).write_text(text)
        if strategies_that_pay(rows):
            sys.exit(1)

    def _print(self, rows: list[Row]) -> None:
        for share in sorted({row.cheaters for row in rows}):
            part = [row for row in rows if row.cheaters == share]
            honest = sum(row.honest_profit for row in part) / len(part)
            brought = sum(row.per_honest for row in part) / len(part)
            self.stdout.write(
                f"\n{share:.0%} of the workers cheat. Honest work earns {honest:,.0f} tokens an hour, "
                f"and an honest job brings {brought:,.0f}.\n\n{table(part)}"
            )
        self.stdout.write(f"\n{summary(rows)}")

    def _calibrate(self, seed: int) -> None:
        console = Console(stderr=True)
        found = calibrate(TRIALS, seed, lambda name: console.print(f"Measuring {name} …"))
        document = {"measured_at": datetime.now(UTC).date().isoformat(), **found}
        RATES.write_text(json.dumps(document, indent=1) + "\n")


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    """A bar on a terminal's standard error, nothing elsewhere; gives what to call after each market."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Simulating", total=total)
        yield lambda row: bar.update(task, advance=1, description=f"{row.title}, {row.cheaters:.0%}")
