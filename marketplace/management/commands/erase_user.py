"""`manage.py erase_user`: erase a person for good."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from marketplace.actions.erasure import erase_user
from marketplace.domain.errors import Refused


class Command(BaseCommand):
    help = (
        "Erases a user for good: data, results, names, log-in, keys. What their wallets hold goes to the treasury. "
        "Money's records, the sealed log and the audit stay. Refused while something of theirs is not settled."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--yes", action="store_true", help="do it; there is no way back")

    def handle(self, *args: Any, **options: Any) -> None:
        username = options["username"]
        if not options["yes"]:
            raise CommandError(f"There is no way back. Say --yes to erase {username}.")
        try:
            name = erase_user(username=username)
        except Refused as refusal:
            raise CommandError(str(refusal)) from None
        self.stdout.write(f"Erased. Where the records need a name, it is {name}.")
