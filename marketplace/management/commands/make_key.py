"""`manage.py make_key`: an API key for a user."""

from decimal import Decimal, InvalidOperation
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from marketplace.actions import keys
from marketplace.domain.access import Scope
from marketplace.domain.errors import Refused


class Command(BaseCommand):
    help = "Makes an API key for a user, and prints it, once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("scopes", nargs="+", choices=[scope.value for scope in Scope], help="what it opens")
        parser.add_argument("--name", default="made by manage.py")
        parser.add_argument("--days", type=int, default=keys.DEFAULT_DAYS, help="until it expires")
        parser.add_argument("--spending-limit", help="tokens in all; no limit if left out")

    def handle(self, *args: Any, **options: Any) -> None:
        user = get_user_model().objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"There is no user {options['username']}.")
        limit = options["spending_limit"]
        try:
            made = keys.make_key(
                user=user,
                name=options["name"],
                scopes=options["scopes"],
                days=options["days"],
                spending_limit=None if limit is None else Decimal(limit),
            )
        except InvalidOperation:
            raise CommandError("--spending-limit must be a number of tokens.") from None
        except Refused as refusal:
            raise CommandError(str(refusal)) from None
        self.stdout.write(made.secret)
