"""Telling people what they want to know: a scan writes what is to be said, an outbox row each; a task sends it.

At least once: a row is put off before it is tried, so that who dies in between leaves it to be tried again. Its id goes
along, so that whoever receives it twice can tell.
"""

import secrets
import shutil
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.db.models import F, QuerySet

from marketplace import delivery, dispatch
from marketplace.actions.books import newest
from marketplace.domain.errors import Refused
from marketplace.domain.money import in_words
from marketplace.models import Client, Event, Notice, NoticeChoice, NoticeScan, Worker, database_now
from marketplace.models.notices import OPERATORS, Kind

LAG = timedelta(seconds=15)  # longer than a transaction lasts: events below the newest are all there
MOST_EVENTS = 20_000  # of one scan; the next goes on
MOST_LINES = 20
BATCH = 50
BATCH_SECONDS = 20.0
SENDING, SENDING_SECONDS = "notices-being-sent", 120  # longer than a batch and its last try take
MOST_TRIES = 8
FIRST_WAIT = timedelta(seconds=10)  # then twice as long after each try
KEPT = timedelta(days=30)
EVENTS = {
    "job.verified": Kind.JOB_ENDED,
    "job.failed": Kind.JOB_ENDED,
    "job.cancelled": Kind.JOB_ENDED,
    "worker.slashed": Kind.SLASHED,
    "worker.no_show": Kind.SLASHED,
}


@dataclass(frozen=True)
class Word:
    """Something to tell a user. `about` names it once and for all."""

    user_id: int
    kind: Kind
    about: str
    line: str


def choose(*, user: Any, kinds: Iterable[str], by_email: bool, webhook_url: str) -> str:
    """Keep what a user wants to be told of. Answers the secret of a webhook that is new, which is shown once; else "".

    Raises:
        Refused: a kind that is not the user's, an address that nothing is sent to, or no confirmed e-mail address.
    """
    wanted = sorted(set(kinds))
    known = {kind.value for kind in Kind if user.is_staff or kind not in OPERATORS}
    if set(wanted) - known:
        raise Refused(f"kinds must be some of {', '.join(sorted(known))}.")
    if webhook_url and (problem := delivery.problem_of(webhook_url)):
        raise Refused(problem)
    if by_email and not address_of(user):
        raise Refused("Confirm your e-mail address first: the page E-mail of your account sends you a link.")
    with transaction.atomic():
        row, _ = NoticeChoice.objects.select_for_update(no_key=True, of=("self",)).get_or_create(user=user)
        fresh = bool(webhook_url) and webhook_url != row.webhook_url
        row.kinds, row.by_email, row.webhook_url = wanted, by_email, webhook_url
        row.webhook_salt = secrets.token_hex(8) if fresh else row.webhook_salt
        row.save()
    return delivery.webhook_secret(user.pk, row.webhook_salt) if fresh else ""


def address_of(user: Any) -> str:
    """The address that is shown to be this user's; "" where none is."""
    rows = EmailAddress.objects.filter(user=user, verified=True).order_by("-primary")
    return rows.values_list("email", flat=True).first() or ""


def run_due(previous_cycle: datetime | None) -> None:
    """What a cycle does: write what is to be said, and have it sent. `previous_cycle` is when the last one ended."""
    now = database_now()
    with transaction.atomic():
        row, _ = NoticeScan.objects.select_for_update(no_key=True).get_or_create(
            pk=1
        )  # of two first cycles, one makes it
        due = row.at is None or now - row.at >= timedelta(seconds=settings.POLICY.notice_scan_seconds)
        stopped = stood_still(now, previous_cycle)
        if due or stopped:
            scan(row, now, previous_cycle if stopped else None)
    if unsent(now).exists():
        dispatch.send_notices_now()


def stood_still(now: datetime, previous_cycle: datetime | None) -> bool:
    """Whether the previous cycle is longer ago than it should be."""
    return previous_cycle is not None and now - previous_cycle > timedelta(
        seconds=settings.POLICY.cycle_late_after_seconds
    )


def scanned_of_late(now: datetime) -> QuerySet[NoticeScan]:
    """While there is this row, no scan is due."""
    return NoticeScan.objects.filter(at__gt=now - timedelta(seconds=settings.POLICY.notice_scan_seconds))


def unsent(now: datetime) -> QuerySet[Notice]:
    """What is to be sent, or tried again, by now."""
    return Notice.objects.filter(sent_at=None, given_up_at=None, due_at__lte=now)


def scan(row: NoticeScan, now: datetime, stood_still_since: datetime | None = None) -> None:
    """Write a notice for each user, kind and channel that has something new. Must be called in a transaction."""
    choices = {each.user_id: each for each in NoticeChoice.objects.exclude(kinds=[]).select_related("user")}
    last = Event.objects.filter(created_at__lt=now - LAG).order_by("-id").values_list("id", flat=True).first() or 0
    begin = row.event if row.at else last  # the first scan tells nothing of before
    last = min(last, begin + MOST_EVENTS)
    if choices:
        found = [*_of_events(begin, last), *_silent(now), *_low(now), *_operators(now, stood_still_since)]
        _write([word for word in found if word.user_id in choices], choices, now)
    row.event, row.at = max(begin, last), now
    row.save()
    Notice.objects.filter(created_at__lt=now - KEPT).delete()


def _of_events(after: int, until: int) -> Iterator[Word]:
    events = Event.objects.filter(id__gt=after, id__lte=until, kind__in=EVENTS)
    for event in events.select_related("job__client", "worker__contributor").order_by("id"):
        kind = EVENTS[event.kind]
        if kind is Kind.JOB_ENDED and event.job and event.job.client.user_id:
            state = event.kind.removeprefix("job.")
            line = f"{event.job.model_type} {event.job_id}: {state}. {event.reason}".strip()
            yield Word(event.job.client.user_id, kind, f"event:{event.pk}", line)
        elif kind is Kind.SLASHED and event.worker and event.worker.contributor.user_id:
            line = f"{event.worker.name}: {event.reason}"
            yield Word(event.worker.contributor.user_id, kind, f"event:{event.pk}", line)


def _silent(now: datetime) -> Iterator[Word]:
    since = now - timedelta(seconds=settings.POLICY.notice_silent_seconds)
    silent = Worker.objects.filter(is_active=True, host=None, last_heartbeat_at__lt=since)
    wanted = silent.filter(contributor__user__notice_choice__isnull=False).select_related("contributor")
    for worker in wanted:
        heard = worker.last_heartbeat_at
        if heard and worker.contributor.user_id:
            line = f"{worker.name} was last heard at {heard:%Y-%m-%d %H:%M:%S} UTC."
            yield Word(worker.contributor.user_id, Kind.WORKER_SILENT, f"silent:{worker.pk}:{heard.timestamp()}", line)


def _low(now: datetime) -> Iterator[Word]:
    """At most once a day a wallet."""
    low = Client.objects.filter(wallet__balance__lt=settings.POLICY.micro("low_balance"))
    for client in low.filter(user__notice_choice__isnull=False).select_related("wallet"):
        if client.user_id:
            line = f"{client.address} has {in_words(client.wallet.balance)}."
            yield Word(client.user_id, Kind.LOW_BALANCE, f"low:{client.wallet_id}:{now:%Y-%m-%d}", line)


def _operators(now: datetime, stood_still_since: datetime | None) -> Iterator[Word]:
    found: list[tuple[Kind, str, str]] = []
    checked = newest()
    if checked and checked.problem_count:
        found.append((Kind.BOOKS, f"books:{checked.pk}", f"{checked.problem_count} problem(s): {checked.problems[0]}"))
    free = shutil.disk_usage(settings.COMPUTENET_HOME).free
    if free < 2 * settings.POLICY.disk_reserve_bytes:
        found.append((Kind.DISK, f"disk:{now:%Y-%m-%d %H}", f"{free / 2**20:,.0f} MiB are free on the disk."))
    if stood_still_since:
        line = f"No cycle ran between {stood_still_since:%Y-%m-%d %H:%M:%S} and {now:%H:%M:%S} UTC."
        found.append((Kind.BEAT, f"beat:{stood_still_since.timestamp()}", line))
    operators = NoticeChoice.objects.filter(user__is_staff=True, user__is_active=True).values_list("user_id", flat=True)
    for user_id in operators if found else ():
        yield from (Word(user_id, kind, about, line) for kind, about, line in found)


def _write(words: list[Word], choices: dict[int, NoticeChoice], now: datetime) -> None:
    """One row a user, kind and channel; what was told before is left out."""
    told = set(Notice.objects.filter(about__in=[word.about for word in words]).values_list("user_id", "about"))
    groups: dict[tuple[int, Kind], list[Word]] = defaultdict(list)
    for word in words:
        if word.kind in choices[word.user_id].kinds and (word.user_id, word.about) not in told:
            groups[word.user_id, word.kind].append(word)
    rows = []
    for (user_id, kind), group in groups.items():
        lines = [word.line[:500] for word in group[:MOST_LINES]]
        if len(group) > MOST_LINES:
            lines.append(f"And {len(group) - MOST_LINES:,} more.")
        subject = f"computenet: {kind.label.replace(' of mine', '')}" + (f" ({len(group)})" if len(group) > 1 else "")
        choice = choices[user_id]
        channels = [Notice.Channel.EMAIL] * choice.by_email + [Notice.Channel.WEBHOOK] * bool(choice.webhook_url)
        for each in channels:
            one = {"user_id": user_id, "kind": kind, "channel": each, "subject": subject}
            rows.append(Notice(**one, about=group[0].about, lines=lines))
            # The others are told in the first one's lines: they have none, and are known as told.
            rows += [Notice(**one, about=word.about, sent_at=now) for word in group[1:]]
    Notice.objects.bulk_create(rows, ignore_conflicts=True)


def send_due() -> int:
    """Try what is due, by one sender at a time, a row at a time and outside any transaction. Answers how many arrived.

    It takes its time, and the queue that it runs in has other work: so no second sender, and no batch without end.
    """
    if not cache.add(SENDING, 1, SENDING_SECONDS):
        return 0
    try:
        return _send_batch()
    finally:
        cache.delete(SENDING)


def _send_batch() -> int:
    now, sent, ends_at = database_now(), 0, time.monotonic() + BATCH_SECONDS
    for notice in unsent(now).order_by("due_at").select_related("user__notice_choice")[:BATCH]:
        if time.monotonic() > ends_at:
            break
        wait = FIRST_WAIT * 2**notice.tries
        mine = Notice.objects.filter(pk=notice.pk, due_at=notice.due_at, sent_at=None)
        if mine.update(due_at=database_now() + wait, tries=F("tries") + 1):  # of two senders, one tries
            sent += _try(notice)
    return sent


def _try(notice: Notice) -> bool:
    row = Notice.objects.filter(pk=notice.pk)
    try:
        _send(notice)
    except delivery.Undelivered as problem:
        over = database_now() if notice.tries + 1 >= MOST_TRIES else None
        row.update(problem=str(problem)[:200], given_up_at=over)
        return False
    row.update(sent_at=database_now(), problem="")
    return True


def _send(notice: Notice) -> None:
    user, choice = notice.user, getattr(notice.user, "notice_choice", None)
    if not user.is_active or choice is None:
        raise delivery.Undelivered("The account is closed, or wants nothing any more.")
    if notice.channel == Notice.Channel.WEBHOOK:
        document = {"id": str(notice.pk), "kind": notice.kind, "at": notice.created_at.isoformat()}
        delivery.send_webhook(
            url=choice.webhook_url,
            secret=delivery.webhook_secret(user.pk, choice.webhook_salt),
            notice_id=str(notice.pk),
            document={**document, "subject": notice.subject, "lines": notice.lines},
        )
        return
    address = address_of(user)
    if not address:
        raise delivery.Undelivered("The account has no confirmed e-mail address.")
    why = f"You are told because you chose it at {settings.PUBLIC_URL}/account/notifications/."
    text = "\n".join([*notice.lines, "", why])
    delivery.send_mail(to=address, subject=notice.subject, text=text, notice_id=str(notice.pk))
