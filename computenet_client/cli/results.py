"""`result`, `predict`, `receipt`."""

import csv
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.markup import escape

from computenet_client import predictions
from computenet_client.cli.jobs import show
from computenet_client.cli.shared import command, fields, network, say, table
from computenet_client.errors import Refused
from computenet_client.job import Job
from computenet_client.tables import read_table


@click.command()
@click.argument("job_id", metavar="ID")
@click.option(
    "-o",
    "output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the arrays to this .npz file, or your table with the model's columns behind it to this .csv file.",
)
@command
def result(job_id: str, output: Path | None, as_json: bool) -> None:
    """What came of the job ID: its figures, or all of its arrays as an .npz file, or (--json) all of it as JSON."""
    found = network().job(job_id)
    if output is not None:
        (found.save_table if output.suffix.lower() == ".csv" else found.save)(output)
        document = {"job_id": found.id, "file": str(output), "bytes": output.stat().st_size}
        say(document, as_json, lambda console: console.print(f"Wrote {output} ({document['bytes']:,} bytes)."))
        return
    whole = found.result()
    plain = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in whole.items()}
    say(_without_nan(plain), as_json, lambda console: show(console, found))


def _without_nan(value: Any) -> Any:
    """The same with None in the place of NaN and infinities, for which JSON has no word."""
    if isinstance(value, dict):
        return {name: _without_nan(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


@click.command()
@click.argument("job_id", metavar="ID")
@click.argument("data", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--columns", help="The columns of DATA that the model takes, in its order: area,rooms.")
@click.option("-o", "output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this CSV file.")
@command
def predict(job_id: str, data: Path, columns: str | None, output: Path | None, as_json: bool) -> None:
    """What the model of the job ID says of the rows of DATA: CSV, at no price.

    It is computed on this machine; where the job has a recipe (categories, gaps, scaling), on the network's.
    """
    job = network().job(job_id)
    fitted = job.result()
    if job.has_recipe():
        _ask(job, data, columns, output, as_json)
        return
    chosen = None
    if columns is not None:
        parts = [part.strip() for part in columns.split(",")]
        chosen = [int(part) if part.isascii() and part.isdigit() else part for part in parts]
    count = predictions.features(fitted)
    known = job.columns() if chosen is None and data.suffix.lower() == ".csv" else []
    found = predictions.predicted(fitted, read_table(data, chosen, count, known))
    plain = {name: values.tolist() for name, values in found.items()}
    rows = zip(*plain.values(), strict=True)
    if output is not None:
        with output.open("w", newline="", encoding="utf-8") as file:
            _write(file, plain, rows)
        document = {"file": str(output), "rows": len(next(iter(plain.values())))}
        say(document, as_json, lambda console: console.print(f"Wrote {output} ({document['rows']:,} rows)."))
    else:
        say(plain, as_json, lambda console: _write(sys.stdout, plain, rows))


def _ask(job: Job, data: Path, columns: str | None, output: Path | None, as_json: bool) -> None:
    """Have the network tell the rows of a file through the job's recipe."""
    if columns is not None:
        raise Refused("This job has a recipe, which finds its columns by their names: leave out --columns.")
    if output is not None:
        job.save_predictions(data, output)
        say({"file": str(output)}, as_json, lambda console: console.print(f"Wrote {output}."))
        return
    found = {name: values.tolist() for name, values in job.predict(data).items()}
    rows = zip(*found.values(), strict=True)
    say(_without_nan(found), as_json, lambda console: _write(sys.stdout, found, rows))


def _write(file: Any, names: Any, rows: Any) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--data", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The file you submitted.")
@command
def receipt(job_id: str, data: Path | None, as_json: bool) -> None:
    """The receipt of the job ID, checked on this machine: the job, the data, and whether the amounts add up."""
    found = network().job(job_id).receipt(data)

    def human(console: Console) -> None:
        fields(console, ((name, value) for name, value in found.items() if not isinstance(value, dict | list)))
        headings = ("attempt", "worker", "state", "verdict", "method")
        rows = (
            (a["attempt"], a["worker"], a["state"], *((a["verdict"] or {}).get(name) for name in ("outcome", "method")))
            for a in found["attempts"]
        )
        table(console, headings, rows, "Nobody has tried the job yet.")
        for sentence in found["checked_here"]:
            console.print(f"[green]✓[/green] {escape(sentence)}")

    say(found, as_json, human)
