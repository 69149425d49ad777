"""`workers`, `worker add`, `worker pause`, `worker resume`, `worker schedule`."""

from typing import Any

import click
from rich.console import Console

from computenet_client.cli.shared import command, network, say, table


@click.command()
@command
def workers(as_json: bool) -> None:
    """The workers, by name."""
    found = network().workers()
    headings = ("worker", "GPU", "TFLOPS", "reputation", "jobs", "state")
    rows = (
        (
            w["worker_id"],
            w["gpu_type"],
            float(w["compute_capacity"]),
            float(w["reputation"]),
            w["jobs_completed"],
            _state(w),
        )
        for w in found
    )
    say(found, as_json, lambda console: table(console, headings, rows, "There are no workers."))


def _state(worker: dict[str, object]) -> str:
    if not worker.get("is_active"):
        return "deactivated"
    return "online" if worker.get("is_online") else "offline"


@click.group()
def worker() -> None:
    """A worker of yours."""


@worker.command()
@click.argument("name")
@click.option("--gpu", required=True, help='Its GPU, such as "RTX 4090", or CPU.')
@click.option("--tflops", type=float, required=True, help="Its compute capacity.")
@click.option("--stake", type=float, required=True, help="Tokens put at risk.")
@command
def add(name: str, gpu: str, tflops: float, stake: float, as_json: bool) -> None:
    """Register the worker NAME with a stake, and get the key that enrols its machine, once."""
    found = network()
    answer = found.add_worker(name, gpu_type=gpu, tflops=tflops, stake=stake)

    def human(console: Console) -> None:
        console.print(f"{name} is registered; {answer['balance']:,.6g} tokens are left beside its stake.")
        console.print("On its machine, with the worker installed (the key is good once, and not shown again):\n")
        console.print(f"  export COMPUTENET_URL={found.url} COMPUTENET_KEY={answer['enrolment_key']}", soft_wrap=True)
        console.print("  celery -A workers worker --pool threads --concurrency 1 --loglevel info")

    say(answer, as_json, human)


@worker.command()
@click.argument("name")
@click.option("--now", "hand_back", is_flag=True, help="Give to others at once what it computes; it costs nothing.")
@command
def pause(name: str, hand_back: bool, as_json: bool) -> None:
    """Have the worker NAME take nothing new. What it has it finishes."""
    answer = network().pause_worker(name, hand_back=hand_back)
    rest = "others get what it had" if hand_back else "it finishes what it has"
    say(answer, as_json, lambda console: console.print(f"{name} is paused; {rest}."))


@worker.command()
@click.argument("name")
@command
def resume(name: str, as_json: bool) -> None:
    """Have the paused worker NAME take jobs again."""
    answer = network().resume_worker(name)
    say(answer, as_json, lambda console: console.print(f"{name} takes jobs again{_hours(answer)}."))


@worker.command()
@click.argument("name")
@click.argument("hours")
@click.option("--time-zone", default="UTC", show_default=True, help="Such as Europe/Berlin.")
@command
def schedule(name: str, hours: str, time_zone: str, as_json: bool) -> None:
    """Have the worker NAME take jobs at these HOURS alone: "mon-fri 18:00-08:00, sat-sun 00:00-24:00", or "always"."""
    answer = network().schedule_worker(name, "" if hours == "always" else hours, time_zone)
    say(answer, as_json, lambda console: console.print(f"{name} takes jobs{_hours(answer) or ' at all hours'}."))


def _hours(answer: dict[str, Any]) -> str:
    return f" at its hours ({answer['schedule']}, {answer['time_zone']})" if answer["schedule"] else ""
