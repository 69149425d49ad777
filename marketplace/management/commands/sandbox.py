import sys
from typing import Any

from django.core.management.base import BaseCommand

from computenet.sandbox.launcher import run


class Command(BaseCommand):
    help = "Start the whole network on this machine: Redis, database, web, coordinator, beat and a GPU host."
    requires_system_checks = []  # this process touches no database; those that it starts check for themselves

    def handle(self, *args: Any, **options: Any) -> None:
        sys.exit(run())
