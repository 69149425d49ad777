"""`manage.py mint`: issue tokens."""

from decimal import Decimal, InvalidOperation
from getpass import getuser
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from marketplace.actions.minting import mint
from marketplace.domain.errors import Refused
from marketplace.domain.money import in_digits, in_words


class Command(BaseCommand):
    help = "Issues tokens to the treasury, or to a wallet, and writes down who did it and why."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("amount", help="tokens, with at most 6 decimals")
        parser.add_argument("--to", default="", help="a wallet's name; the treasury if left out")
        parser.add_argument("--reason", required=True, help="why, for the record")
        parser.add_argument("--actor", default="", help="who, for the record; the system's user if left out")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            amount = Decimal(options["amount"])
        except InvalidOperation:
            raise CommandError("amount must be a number of tokens.") from None
        try:
            made = mint(amount=amount, to=options["to"], reason=options["reason"], actor=options["actor"] or getuser())
        except Refused as refusal:
            raise CommandError(str(refusal)) from None
        made.destination.refresh_from_db()
        self.stdout.write(
            f"Issued {in_words(made.amount)}; {made.destination.name} holds {in_digits(made.destination.balance)} now."
        )
