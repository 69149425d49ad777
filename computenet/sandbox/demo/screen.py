"""How the demo looks. Wide or narrow, in colour or in a file: the same lines in the same order."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from computenet.sandbox.demo.jobs import DemoJob, Line

GOOD, BAD = "[bold green]✓[/]", "[bold red]✗[/]"
STATES = {"pending": "yellow", "assigned": "cyan", "computing": "blue", "completed": "magenta", "verified": "green"}
SHOWN = {"completed": "being checked", "verified": "verified and paid"}
NOT_A_TERMINAL_COLUMNS = 110
Follow = Callable[[str, Mapping[str, Any]], None]


def tokens(amount: float) -> str:
    return f"{amount:,.6f}".rstrip("0").rstrip(".")


class Screen:
    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        if not self.console.is_terminal:
            self.console.width = NOT_A_TERMINAL_COLUMNS
        self._started = time.monotonic()

    def opening(self) -> None:
        text = (
            "[bold]A compute network, start to finish[/]\n"
            "Clients bring data and tokens, workers compute, the coordinator checks every answer\n"
            "and pays for right ones.\n"
            "[dim]Real processes, a real Redis and database, HTTP on the loopback. The GPUs are simulated:\n"
            "every worker computes on this machine's CPU, whatever its label says.[/]"
        )
        self.console.print(Panel(text, box=box.ROUNDED, padding=(1, 2), expand=False))

    def chapter(self, title: str) -> None:
        self.console.print()
        self.console.print(Rule(f"[bold]{title}[/]", align="left", characters="─"))

    def note(self, text: str) -> None:
        self.console.print(f"  {escape(text)}", soft_wrap=True)

    def warning(self, process: str, line: str) -> None:
        """A line from a process's log; news of the marketplace is told by the demo itself."""
        if " INFO " not in line:
            self.console.print(f"  [yellow]{escape(process)}[/] [dim]{escape(line)}[/]", soft_wrap=True)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """A spinner while the block runs, then one line with a tick and the time it took."""
        began = time.monotonic()
        spinner = Progress(SpinnerColumn(), TextColumn(title), transient=True, console=self.console)
        with spinner if self.console.is_terminal else _nothing():
            if self.console.is_terminal:
                spinner.add_task(title, total=None)
            yield
        self.console.print(f"  {GOOD} {title} [dim]{time.monotonic() - began:.1f} s[/]")

    def workers(self, rows: Sequence[tuple[str, str, float, float]]) -> None:
        """`rows`: name, GPU type, TFLOPS, stake in tokens."""
        table = _table("worker", "GPU", ">TFLOPS", ">stake")
        for worker_id, gpu_type, capacity, stake in rows:
            table.add_row(worker_id, f"{gpu_type} [dim](simulated)[/]", f"{capacity:g}", f"{tokens(stake)} tokens")
        self.console.print(table)

    def submitted(self, job: DemoJob, dataset: Mapping[str, Any]) -> None:
        size = f"{dataset['rows']:,} rows × {len(dataset['columns'])} columns"
        self.console.print(
            f"  {GOOD} [bold]{job.client}[/] uploads {job.file_name} [dim]({size})[/], asks [italic]{job.title}[/]"
            f" [dim]({job.model_type})[/] and puts {tokens(job.reward)} tokens into escrow",
            soft_wrap=True,
        )

    @contextmanager
    def following(self, jobs: Mapping[str, DemoJob]) -> Iterator[Follow]:
        """Shows each job's way as it is followed; on a terminal in place, elsewhere a line for each step."""
        began = time.monotonic()
        trails: dict[str, list[tuple[str, float]]] = {job_id: [("pending", 0.0)] for job_id in jobs}
        at: dict[str, str] = {}

        def table() -> Table:
            made = _table("client", "worker", "the job so far")
            for job_id, job in jobs.items():
                made.add_row(job.client, at.get(job_id, "[dim]none yet[/]"), _trail(trails[job_id]))
            return made

        with (
            Live(table(), console=self.console, refresh_per_second=20)
            if self.console.is_terminal
            else _nothing() as live
        ):

            def follow(job_id: str, answer: Mapping[str, Any]) -> None:
                state, trail = answer["status"], trails[job_id]
                if answer["worker"]:
                    at[job_id] = answer["worker"]
                if state != trail[-1][0]:
                    trail.append((state, time.monotonic() - began))
                    if isinstance(live, Live):
                        live.update(table())
                    else:
                        client = jobs[job_id].client
                        self.note(
                            f"{trail[-1][1]:5.2f} s  {client}'s job is {SHOWN.get(state, state)}, {at.get(job_id, '')}"
                        )

            yield follow

    def answer(self, job: DemoJob, answer: Mapping[str, Any], lines: Sequence[Line]) -> None:
        result = answer["result"]
        self.console.print(
            f"\n  [bold]{job.title}[/] [dim]{job.file_name}, {job.model_type}[/]\n"
            f"  computed by [bold]{escape(answer['worker'])}[/] ({escape(result['gpu_type'])}, simulated),"
            f" which earned {tokens(answer['reward'])} tokens"
        )
        table = _table("", "what", ">the network", ">scikit-learn", "")
        for line in lines:
            table.add_row(GOOD if line.ok else BAD, line.what, line.network, line.scikit_learn, line.verdict)
        self.console.print(table)

    def balances(self, rows: Sequence[tuple[str, str, float, float, float]]) -> None:
        table = _table("", "who", "is a", ">had", ">change", ">has now")
        for who, role, had, due, now in rows:
            change = f"{'+' if now >= had else '−'}{tokens(abs(now - had))}"
            colour = "green" if now > had else "red" if now < had else "dim"
            table.add_row(GOOD if now == due else BAD, who, role, tokens(had), f"[{colour}]{change}[/]", tokens(now))
        self.console.print(table)

    def audit(self, line: str) -> None:
        self.note(f"  {line}")

    def held(self) -> None:
        seconds = time.monotonic() - self._started
        text = f"{GOOD} All of it held: three right answers, three payments, a ledger that adds up. {seconds:.0f} s"
        self.console.print()
        self.console.print(Panel(text, box=box.ROUNDED, border_style="green", expand=False))

    def failed(self, sentences: Sequence[str]) -> None:
        text = Text("\n".join(["This did not hold:", *(f"• {sentence}" for sentence in sentences)]))
        self.console.print()
        self.console.print(Panel(text, box=box.ROUNDED, border_style="red", expand=False))

    def left_running(self, address: str, folder: Path) -> None:
        self.console.print(
            f"\n  Left running, as KEEP asked: [bold]{address}/[/]\n  Ctrl-C ends it. Everything stays in {folder};"
            f" COMPUTENET_HOME={folder} make run goes on from there.",
            soft_wrap=True,
        )


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _table(*headings: str) -> Table:
    """A table of these columns; a heading that starts with > is a column of numbers."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2), header_style="dim")
    for heading in headings:
        table.add_column(heading.lstrip(">"), justify="right" if heading.startswith(">") else "left")
    return table


def _trail(trail: Sequence[tuple[str, float]]) -> Text:
    text = Text(" → ").join([Text(SHOWN.get(state, state), style=STATES.get(state, "red")) for state, _ in trail])
    return text.append(f"  {trail[-1][1]:.2f} s", style="dim")
