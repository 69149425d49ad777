"""A bar for people who wait."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

STEPS = ("pending", "assigned", "computing", "completed", "verified")
WORDS = {"completed": "being checked"}


@contextmanager
def watching(job_id: str, progress: bool | None) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Show how far a job is, on standard error; by default only where that is a terminal.

    Gives a function that takes the job's status.
    """
    if progress is None:
        progress = sys.stderr.isatty()
    if not progress:
        yield lambda info: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(f"{job_id[:8]} pending", total=len(STEPS) - 1)

        def show(info: Mapping[str, Any]) -> None:
            state = str(info.get("status"))
            worker = f" on {info['worker']}" if info.get("worker") else ""
            preparing = info.get("preparing")
            said = WORDS.get(state, state) if preparing is None else f"preparing {preparing:.0%}"
            text = f"{job_id[:8]} {said}{worker}"
            bar.update(task, completed=STEPS.index(state) if state in STEPS else len(STEPS) - 1, description=text)

        yield show
