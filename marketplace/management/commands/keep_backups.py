"""`manage.py keep_backups`: a backup now, or every so often, and not too many of them."""

import time
from argparse import ArgumentTypeError
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from marketplace.actions import backup, backup_series
from marketplace.filters import size


def positive(text: str) -> float:
    number = float(text)
    if not 0 < number < 10_000:
        raise ArgumentTypeError("must be above 0 and below 10,000")
    return number


def whole(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ArgumentTypeError("must be 1 or more")
    return number


class Command(BaseCommand):
    help = "Make a backup in a folder of its own inside FOLDER, and remove the oldest. FOLDER/latest is the newest."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--keep", type=whole, default=14, help="how many finished ones stay; 14 if left out")
        parser.add_argument("--every", type=positive, help="hours; go on for ever, and make one whenever it is due")

    def handle(self, *args: Any, folder: Path, keep: int, every: float | None, **options: Any) -> None:
        while True:
            wait = backup_series.due_in_seconds(folder, every_seconds=(every or 0) * 3600, now=datetime.now(UTC))
            if wait == 0:
                self._make(folder, keep)
            if every is None:
                return
            connection.close()
            time.sleep(min(wait, 60))  # in small steps: a machine that slept comes back to a backup that is due

    def _make(self, folder: Path, keep: int) -> None:
        try:
            made = backup_series.make_next(folder, keep=keep, now=datetime.now(UTC))
        except (backup.Failed, OSError) as problem:
            raise CommandError(f"No backup: {problem}") from None  # who started this starts it again
        self.stdout.write(", ".join(f"{path} ({size(path.stat().st_size)})" for path in made))
        self.stdout.flush()
