"""`quote`, `submit`, `jobs`, `job`, `cancel`."""

import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from computenet_client.cli.shared import command, fields, moment, network, say, table
from computenet_client.job import ENDED, Job
from computenet_client.network import MODELS

STATES = ("pending", "assigned", "computing", "completed", *ENDED)
SHOWN = 8  # numbers of an array that a person sees


class Parameter(click.ParamType[Any, str]):
    """``name=value``: a number, true or false where it reads as one, else text."""

    name = "NAME=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        name, sign, raw = str(value).partition("=")
        if not sign or not name.isidentifier():
            self.fail(f"{value!r} must be NAME=VALUE, such as k=8.", param, ctx)
        try:
            found = json.loads(raw)
        except ValueError:
            return name, raw
        return name, found if isinstance(found, int | float) else raw


def _column(text: str) -> str | int:
    return int(text) if text.isascii() and text.isdigit() else text


def submission(function: Callable[..., None]) -> Callable[..., None]:
    """The argument and options that say what is to be fitted; the command takes them as `given`."""

    @functools.wraps(function)
    def run(
        data: Path, model: str, params: Sequence[tuple[str, Any]], target: str | None, columns: str | None,
        missing: str | None, standardise: bool, categories: str | None, holdout: float | None, gpu: str | None,
        pools: Sequence[str], contributors: Sequence[str], **more: Any,
    ) -> None:  # fmt: skip
        given: dict[str, Any] = {"model": MODELS.get(model, model), "X": data, **dict(params)}
        if target is not None:
            given["target"] = _column(target)
        if columns is not None:
            given["columns"] = [_column(name.strip()) for name in columns.split(",")]
        recipe = {
            "missing": missing,
            "standardise": standardise or None,
            "categories": [name.strip() for name in categories.split(",")] if categories else None,
            "holdout": holdout,
        }
        recipe = {name: value for name, value in recipe.items() if value is not None}
        if recipe:
            given["recipe"] = recipe
        if gpu is not None:
            given["requirements"] = {"gpu_type": gpu}
        if pools or contributors:
            given["receivers"] = {"pools": list(pools), "contributors": list(contributors)}
        function(given=given, **more)

    short = ", ".join(MODELS)
    for option in (
        click.option("--contributor", "contributors", multiple=True, help="Whose workers may receive the data."),
        click.option("--pool", "pools", multiple=True, help="The pool whose workers alone may receive the data."),
        click.option("--gpu", help="The GPU that a worker must have."),
        click.option("--holdout", type=float, help="The share of the rows to keep out of the fit, for a score: 0.2."),
        click.option("--categories", help="Columns of numbers that are categories too: year,class."),
        click.option("--standardise", is_flag=True, help="Fit numbers with mean 0 and standard deviation 1."),
        click.option(
            "--missing",
            type=click.Choice(["refuse", "drop", "mean"]),
            help="What becomes of rows with gaps; with it, columns of text are used as categories.",
        ),
        click.option("--columns", help="Which columns to use, by name or index: area,rooms."),
        click.option("--target", help="The column that a regression predicts; the last if left out."),
        click.option("-p", "params", type=Parameter(), multiple=True, help="A parameter of the model, such as k=8."),
        click.option("--model", required=True, help=f"What to fit: {short}, or a model's full name."),
        click.argument("data", type=click.Path(exists=True, dir_okay=False, path_type=Path)),
    ):
        run = option(run)
    return run


@click.command()
@submission
@command
def quote(given: dict[str, Any], as_json: bool) -> None:
    """What fitting a model on DATA (.csv, .parquet, .npy, .npz) would take, before anything is held."""
    found = network().quote(**given)
    columns = "not known yet" if found["features"] is None else f"{found['features']:,}"
    pairs = (
        ("model", found["model_type"]),
        ("rows × columns", f"{found['rows']:,} × {columns}"),
        ("matrix", None if found["matrix_ready"] else "made once you submit; until then rows and time are estimates"),
        ("workers", f"{found['workers_able']:,} could take it, {found['workers_free']:,} are free"),
        ("may receive the data", found["may_receive"]),
        ("time", f"about {found['estimated_seconds']:,.2f} s"),
        ("suggested reward", f"{found['suggested_reward']:,.6g} tokens"),
        ("your balance", None if found["balance"] is None else f"{found['balance']:,.6f} tokens"),
    )
    say(found, as_json, lambda console: fields(console, pairs))


@click.command()
@submission
@click.option("--reward", type=float, required=True, help="Tokens, held until the job ends; `quote` suggests how many.")
@click.option("--deadline", type=float, help="Seconds until the answer must be there.")
@click.option("--idempotency-key", help="The same key with the same request makes one job, however often it is sent.")
@click.option("--watch", is_flag=True, help="Wait, and show what comes of it.")
@click.option("-o", "output", type=click.Path(dir_okay=False, path_type=Path), help="With --watch: an .npz to write.")
@command
def submit(
    given: dict[str, Any], reward: float, deadline: float | None, idempotency_key: str | None, watch: bool,
    output: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Submit a job that fits a model on DATA (.csv, .parquet, .npy, .npz)."""
    if output is not None and not watch:
        raise click.UsageError("-o goes with --watch; later, `computenet result ID -o FILE` writes the file.")
    found = network().submit(reward=reward, deadline_seconds=deadline, idempotency_key=idempotency_key, **given)
    if not watch:
        say(found.info, as_json, lambda console: console.print(f"Submitted: {found.id}"))
        return
    found.wait(progress=False if as_json else None)
    if output is not None:
        found.save(output)
    say(found.info, as_json, lambda console: show(console, found))


@click.command()
@click.option("--status", type=click.Choice(STATES), help="Only those in this state.")
@click.option("-n", "most", type=click.IntRange(1), default=20, show_default=True, help="How many at most.")
@command
def jobs(status: str | None, most: int, as_json: bool) -> None:
    """Your client's jobs, newest first."""
    found = [each.info for each in network().jobs(status, most)]
    headings = ("job", "model", "state", "reward", "worker", "submitted")
    rows = (
        (j["job_id"], j["model_type"], j["status"], float(j["reward"]), j["worker"], moment(j.get("submitted_at")))
        for j in found
    )
    say(found, as_json, lambda console: table(console, headings, rows, "There are no jobs."))


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--watch", is_flag=True, help="Wait until it has ended.")
@command
def job(job_id: str, watch: bool, as_json: bool) -> None:
    """How the job ID is, and its result's figures once there is one."""
    found = network().job(job_id)
    if watch:
        found.wait(progress=False if as_json else None)
    say(found.info, as_json, lambda console: show(console, found))
    if found.status in ("failed", "cancelled"):
        click.get_current_context().exit(1)


@click.command()
@click.argument("job_id", metavar="ID")
@command
def cancel(job_id: str, as_json: bool) -> None:
    """Call the job ID off. The reward comes back, less a worker's share where one was computing."""
    found = network().job(job_id).cancel()
    say(found.info, as_json, lambda console: console.print(f"{found.id} is {found.status}."))


def show(console: Console, found: Job) -> None:
    """A job for people: its status, and the beginnings of its result's arrays."""
    info = found.info
    verdict = info.get("verdict") or {}
    pairs: list[tuple[str, Any]] = [
        ("job", found.id),
        ("model", info.get("model_type")),
        ("parameters", ", ".join(f"{name}={value}" for name, value in info.get("params", {}).items())),
        ("state", info.get("status")),
        ("preparing", None if info.get("preparing") is None else f"{info['preparing']:.0%}"),
        ("reason", info.get("reason")),
        ("reward", None if info.get("reward") is None else f"{info['reward']:,.6f} tokens"),
        ("worker", info.get("worker")),
        ("submitted", moment(info.get("submitted_at"))),
        ("ended", moment(info.get("completion_time"))),
        ("checked by", verdict.get("method")),
        ("which means", verdict.get("bound")),
    ]
    for name, value in (info.get("result") or {}).items():
        if name not in ("model", "worker_id", "gpu_type"):
            pairs.append((f"  {name}", _brief(value)))
    fields(console, pairs)


def _brief(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    flat = value[0] if value and isinstance(value[0], list) else value
    shown = ", ".join(f"{cell:.6g}" if isinstance(cell, int | float) else str(cell) for cell in flat[:SHOWN])
    more = ", …" if len(flat) > SHOWN or flat is not value else ""
    return f"[{shown}{more}] ({len(value):,} {'rows' if flat is not value else 'values'})"
