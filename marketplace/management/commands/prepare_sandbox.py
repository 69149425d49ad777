import json
import secrets
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from marketplace.actions.workers import standby_key

ADMIN = "admin"


class Command(BaseCommand):
    help = "Migrate the sandbox's database, see to its admin and its GPU host, and print their secrets as JSON."
    requires_system_checks = []  # before the migration, the database cannot pass them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", action="store_true", help="also register a GPU host on this machine")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.SANDBOX:
            raise CommandError("This command gives out secrets, so it runs in the sandbox only (COMPUTENET_SANDBOX=1).")
        call_command("migrate", verbosity=0, interactive=False)
        host_key = standby_key() if options["host"] else ""
        self.stdout.write(json.dumps({"admin_password": one_time_password(), "host_key": host_key}))


def one_time_password() -> str:
    """A new password for the admin, good until the next start; empty where the operator has set one by hand.

    The hash of the last password given out lies beside the database, to tell the two cases apart.
    """
    given_out = settings.COMPUTENET_HOME / "admin-password-hash"
    users = get_user_model()
    admin, new = users.objects.get_or_create(username=ADMIN, defaults={"is_staff": True, "is_superuser": True})
    if not new and (not given_out.exists() or given_out.read_text() != admin.password):
        return ""
    password = secrets.token_urlsafe(12)
    admin.set_password(password)
    admin.save(update_fields=["password"])
    given_out.touch(mode=0o600)
    given_out.write_text(admin.password)
    return password
