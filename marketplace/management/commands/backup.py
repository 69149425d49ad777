from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from marketplace.actions import backup
from marketplace.filters import size


class Command(BaseCommand):
    help = "Copy database, files and keys into a new folder, while the network runs."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)

    def handle(self, *args: Any, folder: Path, **options: Any) -> None:
        try:
            made = backup.make(folder)
        except (backup.Failed, OSError) as problem:
            raise CommandError(str(problem)) from None
        for path in made:
            self.stdout.write(f"{path} ({size(path.stat().st_size)})")
        self.stdout.write("It holds keys: keep it where only you can read it.")
