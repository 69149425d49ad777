"""Erasing a user: data, results, names. What happened stays, told without them: money, the sealed log, the audit.

Names become ``erased-<number>``. A row of the sealed log is told from then on by its digest alone, whose salt is gone.
"""

import re
from collections.abc import Iterable
from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Q

from marketplace import broker, storage
from marketplace.actions import sealing, uploads
from marketplace.actions.deletion import lock_data, purge
from marketplace.actions.ledger import Posting, post, treasury
from marketplace.actions.locks import keep_sealing_out
from marketplace.domain.errors import Conflict, NotFound, Refused
from marketplace.domain.ledger import Code
from marketplace.domain.lifecycle import LIVE
from marketplace.models import (
    Account,
    Allowance,
    Assignment,
    Client,
    Contest,
    Contributor,
    DatasetOwner,
    EnrolmentKey,
    Event,
    Grant,
    Invitation,
    Job,
    Notice,
    Result,
    Upload,
    Worker,
    database_now,
)

ERASED = "erased"


def erase_user(*, username: str) -> str:
    """Erase a user for good; answers the name that stands for them now.

    What their wallets hold goes to the treasury. Their data go (where nobody else brought the same), the results of
    their jobs, their names everywhere, their log-in, their keys. Copies at machines are called back.

    Raises:
        NotFound: there is no such user.
        Refused: an operator, whose acts are on record.
        Conflict: something of theirs is not settled: an open job, a contest, a stake, work in hand.
    """
    with transaction.atomic():
        user = get_user_model().objects.select_for_update().filter(username=username).first()
        if user is None:
            raise NotFound(f"There is no user {username[:150]}.")
        if user.is_staff:
            raise Refused("An operator is not erased: what they did is on record. Take their rights first.")
        clients = list(Client.objects.select_for_update().filter(user=user).order_by("pk"))
        contributor = Contributor.objects.select_for_update().filter(user=user).first()
        workers = list(Worker.objects.select_for_update().filter(contributor=contributor).order_by("pk"))
        if contributor is None:
            workers = []
        _require_settled(clients, workers)
        keep_sealing_out()
        names = {username, user.email, *(each.address for each in clients), *(each.name for each in workers)}
        names |= {contributor.name} if contributor else set()
        stand_in = f"{ERASED}-{user.pk}"
        _give_back([each.wallet for each in clients] + ([contributor.wallet] if contributor else []))
        jobs = list(Job.objects.filter(client__in=clients).values_list("pk", flat=True))
        _forget_events(names - {""}, clients, workers)
        _forget_rows(names - {""}, user, clients, contributor, workers)
        _forget_log_ins(username, names - {""})
        for upload in Upload.objects.select_for_update().filter(user=user):
            uploads.drop(upload)
        rights = list(DatasetOwner.objects.filter(user=user).values_list("dataset", flat=True))
        user.delete()
        _delete_data(rights, stand_in)
        _forget_results(jobs)
    enrolled = [each for each in workers if each.enrolled_at]
    if enrolled:
        broker.expel(enrolled)
    return stand_in


def _require_settled(clients: list[Client], workers: list[Worker]) -> None:
    if Job.objects.filter(client__in=clients, ended_at=None).exists():
        raise Conflict("An open job is theirs; wait until it has ended, or cancel it.")
    contests = Contest.objects.filter(outcome=Contest.Outcome.OPEN)
    theirs = Q(verdict__assignment__job__client__in=clients) | Q(verdict__assignment__worker__in=workers)
    if contests.filter(theirs).exists():
        raise Conflict("A contest over their job or their worker's answer is open; settle it first.")
    if Assignment.objects.filter(worker__in=workers, state__in=[state.value for state in LIVE]).exists():
        raise Conflict("A worker of theirs has work in hand; pause it, and wait until that has ended.")
    for worker in workers:
        if worker.stake.balance or worker.lent or (worker.unbonding and worker.unbonding.balance):
            raise Conflict(f"The worker {worker.name} has a stake; have it taken out and released first.")


def _give_back(wallets: list[Account]) -> None:
    """What nobody could ever spend goes to the treasury; monthly grants and allowances end."""
    held = Account.objects.filter(pk__in=[each.pk for each in wallets], balance__gt=0).order_by("pk")
    post([Posting(each, treasury(), each.balance, Code.TRANSFER, f"erase:{each.pk}") for each in held])
    Grant.objects.filter(wallet__in=wallets, stopped_at=None).update(stopped_at=database_now())
    Allowance.objects.filter(Q(owner__in=wallets) | Q(spender__in=wallets)).delete()


def _says(text: str, names: Iterable[str]) -> bool:
    """Whether a text says one of the names as a word."""
    return any(re.search(rf"(?<![\w@-]){re.escape(name)}(?![\w@-])", text) for name in names)


def _forget_events(names: set[str], clients: list[Client], workers: list[Worker]) -> None:
    about = Q(job__client__in=clients) | Q(worker__in=workers) | Q(actor__in=names)
    for name in names:
        about |= Q(reason__contains=name)
    events = list(Event.objects.filter(about).only("pk", "actor", "reason", "job"))
    sealing.forget(kind="event", rows=[each.pk for each in events])
    acted = [each.pk for each in events if each.actor in names]
    Event.objects.filter(pk__in=acted).update(actor=ERASED)
    said = [each.pk for each in events if _says(each.reason, names)]
    Event.objects.filter(pk__in=said).update(reason="")


def _forget_rows(
    names: set[str], user: Any, clients: list[Client], contributor: Contributor | None, workers: list[Worker]
) -> None:
    Job.objects.filter(client__in=clients).update(reason="", scalars={}, request_id="")
    for job in Job.objects.filter(worker__in=workers).exclude(reason="").only("pk", "reason"):
        if _says(job.reason, names):
            Job.objects.filter(pk=job.pk).update(reason="")
    wallets = [each.wallet_id for each in clients] + ([contributor.wallet_id] if contributor else [])
    accounts = wallets + [each.stake_id for each in workers] + [each.unbonding_id for each in workers]
    for pk in filter(None, accounts):
        Account.objects.filter(pk=pk).update(name=f"{ERASED}-{pk}")
    for client in clients:
        Client.objects.filter(pk=client.pk).update(address=f"{ERASED}-{client.wallet_id}", user=None)
    for worker in workers:
        Worker.objects.filter(pk=worker.pk).update(
            name=f"{ERASED}-{worker.stake_id}", is_active=False, secret_sha256="", broker_secret_sha256="",
            device={}, aside="",
        )  # fmt: skip
        EnrolmentKey.objects.filter(worker=worker).delete()
        worker.pools.clear()
    if contributor:
        wallet = contributor.wallet_id
        Contributor.objects.filter(pk=contributor.pk).update(name=f"{ERASED}-{wallet}", user=None)
        contributor.audiences.clear()
        Contest.objects.filter(opened_by=contributor.name).update(opened_by=ERASED, note="")
    Invitation.objects.filter(Q(used_by=user) | Q(note__in=names)).update(note="", used_by=None)
    for notice in Notice.objects.exclude(user=user).only("pk", "subject", "lines"):
        if _says(f"{notice.subject} {notice.lines}", names):
            notice.delete()


def _forget_log_ins(username: str, names: set[str]) -> None:
    for rows in (AccessAttempt, AccessFailureLog, AccessLog):
        rows.objects.filter(username=username).delete()
    LogEntry.objects.filter(object_repr__in=names).update(object_repr=ERASED, change_message="")


def _delete_data(datasets: Iterable[str], actor: str) -> None:
    for sha256 in sorted(datasets):
        dataset = lock_data(sha256)
        if not DatasetOwner.objects.filter(dataset=dataset).exists():
            purge(dataset, actor=actor)


def _forget_results(jobs: list[Any]) -> None:
    """The files of results and answers, last in the transaction: they do not roll back."""
    answers = set(Result.objects.filter(assignment__job__in=jobs).values_list("sha256", flat=True)) - {""}
    others = Result.objects.filter(sha256__in=answers).exclude(assignment__job__in=jobs)
    for job in jobs:
        storage.delete("answers", str(job))
    for sha256 in answers - set(others.values_list("sha256", flat=True)):
        storage.delete("results", sha256)
