"""`manage.py incident`: what an operator does in an incident, from a terminal."""

import getpass
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from marketplace.actions import incidents, payouts, reverification
from marketplace.actions.incidents import Touched
from marketplace.domain.errors import Refused
from marketplace.domain.money import to_tokens
from marketplace.models import HeldVerdict, Network


class Command(BaseCommand):
    help = "Freeze payouts, drain the network, rotate workers' secrets, check answers again, suspend a contributor."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--actor", default=getpass.getuser(), help="Who the events name; you if left out.")
        parser.add_argument("--reason", default="", help="Why; the events keep it.")
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("status", help="Say what is frozen, drained and held.")
        verbs.add_parser("freeze", help="Keep verdicts, and let none pay or slash until thawed.")
        verbs.add_parser("thaw", help="Let the verdicts that were held take effect.")
        verbs.add_parser("drain", help="Give no machine anything new.")
        verbs.add_parser("undrain", help="Give work again.")
        rotate = verbs.add_parser("rotate", help="Void workers' HTTP and Redis secrets; prints the keys to enrol anew.")
        which = rotate.add_mutually_exclusive_group(required=True)
        which.add_argument("--all", action="store_true")
        which.add_argument("--worker", default="")
        again = verbs.add_parser("reverify", help="Check a contributor's last answers again; moves no money.")
        again.add_argument("contributor")
        again.add_argument("--last", type=int, default=20)
        for verb, does in (
            ("suspend", "Take a contributor's workers out, and list all that they touched."),
            ("reinstate", "Let a suspended contributor's workers back."),
            ("touched", "List all that a contributor's workers touched."),
        ):
            verbs.add_parser(verb, help=does).add_argument("contributor")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['verb']}")(options)
        except Refused as refusal:
            raise CommandError(str(refusal)) from None

    def _status(self, options: dict[str, Any]) -> None:
        network = Network.objects.get(pk=1)
        waiting = HeldVerdict.objects.filter(settled_at=None).count()
        since = network.payouts_frozen_at
        frozen = f"frozen since {since:%Y-%m-%d %H:%M:%S} by {network.payouts_frozen_by}" if since else "not frozen"
        self.stdout.write(f"Payouts are {frozen}; {waiting} verdicts wait.")
        self.stdout.write(f"The network is {'drained' if network.draining else 'not drained'}.")

    def _freeze(self, options: dict[str, Any]) -> None:
        done = payouts.freeze(actor=options["actor"], reason=options["reason"])
        self.stdout.write("Payouts are frozen." if done else "Payouts were frozen already.")

    def _thaw(self, options: dict[str, Any]) -> None:
        waiting = payouts.thaw(actor=options["actor"])
        self.stdout.write(f"Payouts are thawed; the coordinator settles the {waiting} verdicts that waited.")

    def _drain(self, options: dict[str, Any]) -> None:
        done = incidents.drain_all(draining=True, actor=options["actor"], reason=options["reason"])
        self.stdout.write("No machine is given anything new." if done else "The network was drained already.")

    def _undrain(self, options: dict[str, Any]) -> None:
        done = incidents.drain_all(draining=False, actor=options["actor"], reason=options["reason"])
        self.stdout.write("Machines are given work again." if done else "The network was not drained.")

    def _rotate(self, options: dict[str, Any]) -> None:
        keys = incidents.rotate_secrets(actor=options["actor"], worker_name=options["worker"])
        self.stdout.write(f"{len(keys)} workers have to enrol anew, each with its key (shown once):")
        for key in keys:
            self.stdout.write(f"{key.worker}\t{key.enrolment_key}")

    def _reverify(self, options: dict[str, Any]) -> None:
        contributor = incidents.find_contributor(options["contributor"])
        rows = [
            row.pk for row in reverification.ask(contributor=contributor, count=options["last"], actor=options["actor"])
        ]
        for pk in rows:
            reverification.check(row=pk)
        report = reverification.report(rows)
        self.stdout.write(report.sentence())
        for row in report.differing:
            self.stdout.write(
                f"{row.assignment.job_id}\t{row.assignment_id}\t{row.before} → {row.outcome}\t{row.reason}"
            )

    def _suspend(self, options: dict[str, Any]) -> None:
        contributor = incidents.find_contributor(options["contributor"])
        self._list(
            incidents.suspend_contributor(
                contributor=contributor, actor=options["actor"], reason=options["reason"] or "an incident"
            )
        )

    def _reinstate(self, options: dict[str, Any]) -> None:
        contributor = incidents.find_contributor(options["contributor"])
        incidents.reinstate_contributor(contributor=contributor, actor=options["actor"], reason=options["reason"])
        self.stdout.write(f"{contributor.name} is reinstated.")

    def _touched(self, options: dict[str, Any]) -> None:
        self._list(incidents.touched(incidents.find_contributor(options["contributor"])))

    def _list(self, touched: Touched) -> None:
        """One line for each row, tabs between its columns, so that other programs can read it."""
        say = self.stdout.write
        for worker in touched.workers:
            say(f"worker\t{worker.name}\t{'active' if worker.is_active else 'inactive'}")
        for attempt in touched.assignments.iterator():
            say(
                f"job\t{attempt.job_id}\t{attempt.pk}\t{attempt.worker.name}\t{attempt.state}\t{attempt.job.client.address}"
            )
        for verdict in touched.verdicts.iterator():
            say(f"verdict\t{verdict.assignment_id}\t{verdict.outcome}\t{verdict.method}")
        for transfer in touched.transfers.iterator():
            amount = to_tokens(transfer.amount)
            say(f"transfer\t{transfer.pk}\t{transfer.code}\t{transfer.source}\t{transfer.destination}\t{amount}")
        for dataset in touched.datasets.iterator():
            say(f"dataset\t{dataset.sha256}\t{dataset.rows} rows")
