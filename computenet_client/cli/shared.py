"""What the commands share: the network, output, errors as exit codes."""

import functools
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from computenet_client.errors import (
    ComputenetError,
    JobEnded,
    NotAllowed,
    NotReady,
    Refused,
    Unreachable,
    VerificationFailed,
    WaitTimeout,
)
from computenet_client.network import Network

PATIENCE = 4.0  # seconds: a person looks on
PIPE_WIDTH = 160  # of what is written to a file or another program
EXIT_CODES: tuple[tuple[type[ComputenetError], int], ...] = (
    (VerificationFailed, 6),
    (NotAllowed, 5),
    (Unreachable, 4),
    (Refused, 3),
    (JobEnded, 1),
    (NotReady, 1),
    (WaitTimeout, 1),
)


OPTIONS = {  # what the network calls a field of the request, as the command line says it
    'give a "recipe"': "give --missing",
    'say in a "recipe"': "say with --missing",
    '"missing" of the recipe': "--missing",
    '"columns"': "--columns",
}


def in_options(sentence: str) -> str:
    """A sentence of the network's for somebody who types options."""
    for field, option in OPTIONS.items():
        sentence = sentence.replace(field, option)
    return sentence


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--json`, and turn this package's errors into a sentence and an exit code.

    The function takes `as_json`; with it, standard output is one JSON document and an error is one on standard error.
    """

    @functools.wraps(function)
    def run(*, as_json: bool, **given: Any) -> None:
        try:
            function(as_json=as_json, **given)
        except ComputenetError as error:
            if as_json:
                print(json.dumps({"success": False, "error": str(error)}), file=sys.stderr)
            else:
                Console(stderr=True).print(
                    f"[red]{escape(in_options(str(error)))}[/red]", soft_wrap=True, highlight=False
                )
            code = next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1)
            click.get_current_context().exit(code)

    return click.option("--json", "as_json", is_flag=True, help="Answer JSON, for programs.")(run)


def network() -> Network:
    """The network of the environment or of `login`."""
    return Network.default(patience=PATIENCE)


def say(document: Any, as_json: bool, human: Callable[[Console], None]) -> None:
    """Print `document` as JSON, or what `human` makes of it."""
    if as_json:
        print(json.dumps(document))
    else:
        human(Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH))


def table(console: Console, headings: Sequence[str], rows: Iterable[Sequence[Any]], empty: str) -> None:
    """Print rows under headings, or the sentence `empty` where there are none; numbers to the right."""
    lines = [tuple(row) for row in rows]
    if not lines:
        console.print(empty)
        return
    made = Table(box=None, pad_edge=False, header_style="bold")
    for i, (heading, cell) in enumerate(zip(headings, lines[0], strict=True)):
        right = isinstance(cell, int | float)
        made.add_column(heading, justify="right" if right else "left", overflow="fold", no_wrap=i == 0)
    for line in lines:
        made.add_row(*(escape(text(cell)) for cell in line))
    console.print(made)


def fields(console: Console, pairs: Iterable[tuple[str, Any]]) -> None:
    """Print names and values below each other, without those that are None or empty."""
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(style="bold")
    made.add_column(overflow="fold")
    for name, value in pairs:
        if value not in (None, ""):
            made.add_row(escape(name), escape(text(value)))
    console.print(made)


def text(value: Any) -> str:
    """A value for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.6f}".rstrip("0").rstrip(".") if abs(value) < 1e15 else f"{value:g}"
    if isinstance(value, int):
        return f"{value:,}"
    return "-" if value is None else str(value)


def moment(seconds: float | None) -> str | None:
    """Unix seconds as this machine's local time."""
    return None if seconds is None else datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")
