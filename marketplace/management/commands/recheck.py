"""`manage.py recheck`: run the check of a verdict again, on the trusted side."""

import sys
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from marketplace.actions.receipts import recheck
from marketplace.domain.errors import Refused

EXIT = {"accepted": 0, "rejected": 1, "inconclusive": 3}


class Command(BaseCommand):
    help = (
        "Checks a worker's answer again with the randomness of its verdict. Nothing is written. "
        "Exits with 0 if it is accepted now, 1 if rejected, 3 if inconclusive."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("assignment", type=UUID, help="the assignment's UUID")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            assignment, finding = recheck(assignment_id=options["assignment"])
        except Refused as refusal:
            raise CommandError(str(refusal)) from None
        except OSError as error:
            raise CommandError(f"The answer or the data are no longer stored: {error.strerror}.") from None
        now, verdict = finding.check, assignment.verdict
        self.stdout.write(f"{assignment.worker.name}, attempt {assignment.fence} of job {assignment.job_id}")
        self.stdout.write(f"     then  {verdict.outcome}: {verdict.reason}")
        self.stdout.write(f"      now  {now.verdict}: {now.reason}")
        self.stdout.write(f"   method  {now.method}")
        self.stdout.write(f" measured  {now.measured:.6g}, of at most {now.tolerance:.6g}")
        if now.verdict != "accepted":
            sys.exit(EXIT[now.verdict])
