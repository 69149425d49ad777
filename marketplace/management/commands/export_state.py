"""`manage.py export_state`: write the sealed log to a folder, for whoever checks it offline."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from marketplace.actions.exports import export_state
from marketplace.domain.errors import Refused


class Command(BaseCommand):
    help = "Writes the sealed log and its checkpoints to a new folder; `computenet verify FOLDER` checks it anywhere."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, help="a folder that is not there yet, or empty")
        parser.add_argument("--json", action="store_true", help="print one JSON object, for programs")

    def handle(self, *args: Any, **options: Any) -> None:
        watched = self.stderr.isatty()
        try:
            made = export_state(options["folder"], self._progress if watched else lambda done, of: None)
        except (Refused, OSError, ValueError) as refusal:
            raise CommandError(str(refusal)) from None
        if watched:
            self.stderr.write("")
        if options["json"]:
            self.stdout.write(json.dumps(asdict(made) | {"folder": str(made.folder)}))
            return
        self.stdout.write(
            f"{made.leaves:,} leaves and {made.checkpoints:,} checkpoints are in {made.folder} "
            f"({made.size_bytes:,} bytes)."
        )
        if made.checkpoint:
            self.stdout.write(f"The newest is signed by the key {made.checkpoint['public_key']}.")

    def _progress(self, done: int, of: int) -> None:
        self.stderr.write(f"\r{done:,} of {of:,} leaves", ending="")
        self.stderr.flush()
