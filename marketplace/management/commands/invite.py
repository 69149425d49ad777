"""`manage.py invite`: let a person sign up."""

from getpass import getuser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import reverse

from marketplace.actions import invitations
from marketplace.domain.access import Role
from marketplace.domain.errors import Refused


class Command(BaseCommand):
    help = "Makes an invitation that lets one person sign up, and prints its code, once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("roles", nargs="+", choices=[role.value for role in Role], help="what the person will be")
        parser.add_argument("--note", default="", help="for whom it is, for the record")
        parser.add_argument("--days", type=int, default=invitations.DEFAULT_DAYS, help="until it expires")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            made = invitations.invite(
                roles=options["roles"], note=options["note"], days=options["days"], actor=getuser()
            )
        except Refused as refusal:
            raise CommandError(str(refusal)) from None
        self.stdout.write(f"{settings.PUBLIC_URL}{reverse('account_signup')}?code={made.code}")
