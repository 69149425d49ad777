"""`manage.py invite_worker`: a worker whose first stake the treasury lends."""

from decimal import Decimal, InvalidOperation
from getpass import getuser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from marketplace.actions.workers import invite_worker
from marketplace.domain.errors import Refused
from workers.catalog.gpus import KNOWN_GPUS


class Command(BaseCommand):
    help = "Registers a worker on a stake that the treasury lends, and prints the key that enrols its machine once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the worker's name")
        parser.add_argument("--gpu", default="CPU", help='its GPU, such as "RTX 4090"; CPU if left out')
        parser.add_argument("--capacity", type=float, help="TFLOPS; what the GPU's specification says if left out")
        parser.add_argument("--lend", default="100", help="tokens of stake; 100 if left out")
        parser.add_argument("--user", help="the contributor's user name; a new one if left out")

    def handle(self, *args: Any, **options: Any) -> None:
        known = KNOWN_GPUS.get(options["gpu"])
        capacity = options["capacity"] or (known.fp32_tflops if known else 0.1)
        user = None
        if options["user"] is not None:
            user = get_user_model().objects.filter(username=options["user"]).first()
            if user is None:
                raise CommandError(f"There is no user {options['user']}.")
        try:
            lend = Decimal(options["lend"])
        except InvalidOperation:
            raise CommandError("--lend must be a number of tokens.") from None
        try:
            invited = invite_worker(
                name=options["name"],
                gpu_type=options["gpu"],
                compute_capacity=capacity,
                lend=lend,
                contributor_user=user,
                actor=getuser(),
            )
        except Refused as refusal:
            raise CommandError(str(refusal)) from None
        self.stdout.write(f"Worker {invited.worker.name} is invited. This key enrols its machine, once:")
        self.stdout.write(invited.enrolment_key)
