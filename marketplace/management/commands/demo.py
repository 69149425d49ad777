import sys
from typing import Any

from django.core.management.base import BaseCommand

from computenet.sandbox.demo import run


class Command(BaseCommand):
    help = "Run three real jobs through a network of three workers, and show all of it."
    requires_system_checks = []  # this process touches no database; those that it starts check for themselves

    def handle(self, *args: Any, **options: Any) -> None:
        sys.exit(run())
