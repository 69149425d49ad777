from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from marketplace import broker
from marketplace.actions import backup
from marketplace.actions.audit import audit


class Command(BaseCommand):
    help = "Put a backup into an empty database and a new COMPUTENET_HOME, migrate it, and replay its books."
    requires_system_checks = []  # the database is empty, and has no guards

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)

    def handle(self, *args: Any, folder: Path, **options: Any) -> None:
        try:
            backup.restore(folder)
        except (backup.Failed, OSError) as problem:
            raise CommandError(str(problem)) from None
        call_command("migrate", verbosity=0, interactive=False)
        found = audit()
        for sentence in found.problems:
            self.stderr.write(sentence)
        if not found.ok:
            raise CommandError(found.last_line)
        self.stdout.write(found.last_line)
        users = "are made again" if broker.make_all() else "are made again by the coordinator's next cycle"
        self.stdout.write(f"Start the network now; the workers' Redis users {users}.")
