"""`workers`, `worker add`."""

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
