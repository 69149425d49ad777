"""`manage.py audit_ledger`: replay the ledger and say whether it adds up."""

import json
import sys

from django.core.management.base import BaseCommand

from marketplace.actions.audit import audit
from marketplace.actions.books import one_moment
from marketplace.domain.money import MICRO


class Command(BaseCommand):
    help = "Replays every transfer, holds the sealed log against the rows, and says whether the books add up: 1 if not."

    def add_arguments(self, parser):
        parser.add_argument("--json", action="store_true", help="print one JSON object, for programs")

    def handle(self, *args, **options):
        with one_moment():
            found = audit()
        if options["json"]:
            self.stdout.write(json.dumps({"ok": found.ok, **found.__dict__}))
        else:
            for kind, total in sorted(found.by_kind.items()):
                self.stdout.write(f"{kind:>10} {total / MICRO:>22,.6f} tokens")
            for problem in found.problems:
                self.stdout.write(problem)
            self.stdout.write(found.last_line)
        if not found.ok:
            sys.exit(1)
