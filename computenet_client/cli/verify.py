"""`verify`: an export of a network's sealed log, or proofs out of it, checked on this machine alone."""

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from computenet_client.cli.shared import command, say
from computenet_client.errors import Refused
from computenet_client.verifier.command import check, sentences
from computenet_client.verifier.encoding import Bad


@click.command()
@click.argument("export", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--against",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A checkpoint that you kept: is it extended?",
)
@click.option("--key", help="The public key that must have signed, in hexadecimal.")
@click.option("--balance", type=int, metavar="ID", help="What this account holds.")
@click.option("--receipt", metavar="JOB", help="What became of this job.")
@command
def verify(
    export: Path, against: Path | None, key: str | None, balance: int | None, receipt: str | None, as_json: bool
) -> None:
    """Check EXPORT: the folder that an operator's `export_state` wrote, or a file with proofs from the API.

    Every leaf is hashed and lived again: no balance below zero, every job's life a legal one, escrows of ended jobs
    empty, each paid once and for an accepted answer. Needs no network. Exits with 1 where something does not hold.
    """
    told = Console(stderr=True)
    with told.status("Checking …") as status:
        try:
            found = check(
                export,
                against=against,
                key=key,
                balance=balance,
                receipt=receipt,
                progress=lambda leaves: status.update(f"Checking … {leaves:,} leaves"),
            )
        except Bad as problem:
            raise Refused(str(problem)) from None

    def human(console: Console) -> None:
        mark = "[green]✓[/green]" if found["ok"] else "[red]✗[/red]"
        for sentence in sentences(found):
            console.print(f"{mark} {escape(sentence)}", soft_wrap=True)

    say(found, as_json, human)
    if not found["ok"]:
        sys.exit(1)
