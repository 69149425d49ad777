"""What people are told of: a choice, an outbox, mail, and webhooks to a real server on the loopback."""

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.db.models import F

from marketplace import delivery
from marketplace.actions import notices
from marketplace.domain.errors import Refused
from marketplace.models import BooksCheck, Notice, NoticeChoice, NoticeScan, Worker, database_now
from tests import factories
from tests.dashboard import cast

pytestmark = pytest.mark.django_db


class Receiver(HTTPServer):
    """Answers each POST with `status`, and keeps what came."""

    def __init__(self) -> None:
        self.came: list[tuple[dict[str, str], bytes]] = []
        self.status = 204
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/hook"


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.came.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(self.server.status)
        self.send_header("Location", self.server.url)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *about: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(notices, "LAG", timedelta(seconds=-1))


def scan() -> list[Notice]:
    known = set(Notice.objects.values_list("pk", flat=True))
    notices.scan(NoticeScan.objects.filter(pk=1).first() or NoticeScan(), database_now())
    return list(Notice.objects.exclude(pk__in=known).order_by("kind", "channel"))


def alice_with(kinds: list[str], **how: Any) -> tuple[Any, str]:
    alice = cast.alice()
    EmailAddress.objects.create(user=alice, email="alice@example.org", verified=True, primary=True)
    scan()  # what was before is not told
    given = {"by_email": False, "webhook_url": "", **how}
    return alice, notices.choose(user=alice, kinds=kinds, **given)


def test_a_job_that_ended_is_told_once_over_each_channel_that_was_chosen(at_once, receiver):
    alice, secret = alice_with(["job_ended"], by_email=True, webhook_url=receiver.url)
    cast.a_worker("her_gpu", alice)
    cast.a_job(cast.a_client("her_lab", alice), "verified")
    cast.a_job(cast.a_client("his_lab", cast.bob()), "cancelled")
    assert [row.channel for row in scan()] == ["email", "webhook"]
    assert scan() == [] and notices.send_due() == 2 and notices.send_due() == 0
    [letter] = mail.outbox
    assert letter.to == ["alice@example.org"] and "verified" in letter.body and "his_lab" not in letter.body
    [(headers, body)] = receiver.came
    assert json.loads(body)["kind"] == "job_ended" and headers["x-computenet-id"] == json.loads(body)["id"]
    assert secret


def test_a_webhook_is_signed_and_follows_no_redirect(at_once, receiver):
    alice, secret = alice_with(["low_balance"], webhook_url=receiver.url)
    cast.a_client("her_lab", alice, balance=1)
    receiver.status = 307
    scan()
    assert notices.send_due() == 0 and len(receiver.came) == 1
    headers, body = receiver.came[0]
    signed = headers["x-computenet-timestamp"].encode() + b"." + body
    expected = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    assert headers["x-computenet-signature"] == f"sha256={expected}"
    assert Notice.objects.get().problem == "It answered 307."


def test_what_does_not_arrive_is_tried_again_later_and_later_and_then_given_up(at_once, receiver):
    alice, _ = alice_with(["low_balance"], webhook_url=receiver.url)
    cast.a_client("her_lab", alice, balance=1)
    receiver.status = 503
    [row] = scan()
    waits = []
    for _ in range(notices.MOST_TRIES + 2):
        Notice.objects.update(due_at=database_now())
        before = database_now()
        notices.send_due()
        waits.append(Notice.objects.get().due_at - before)
    row.refresh_from_db()
    assert len(receiver.came) == row.tries == notices.MOST_TRIES and row.given_up_at and not row.sent_at
    assert waits[1] > 1.5 * waits[0] and waits[4] > 10 * waits[0]


def test_a_webhook_goes_nowhere_but_to_listed_hosts(settings):
    alice = cast.alice()
    settings.WEBHOOK_HOSTS = ["hooks.example.org"]
    refused = ["http://hooks.example.org/x", "https://169.254.169.254/latest", "https://hooks.example.org@evil.org/",
               "https://evil.org/?hooks.example.org", "file:///etc/passwd", "https://hooks.example.org:bad/",
               "https://localhost/", "https://sub.hooks.example.org/"]  # fmt: skip
    for url in refused:
        with pytest.raises(Refused):
            notices.choose(user=alice, kinds=[], by_email=False, webhook_url=url)
    assert notices.choose(user=alice, kinds=[], by_email=False, webhook_url="https://hooks.example.org/x")
    settings.SANDBOX = False
    with pytest.raises(Refused):
        notices.choose(user=alice, kinds=[], by_email=False, webhook_url="http://127.0.0.1:9/")
    settings.WEBHOOK_HOSTS = []  # taken off the list later: nothing is sent any more
    with pytest.raises(delivery.Undelivered):
        delivery.send_webhook(url="https://hooks.example.org/x", secret="s", notice_id="1", document={})


def test_the_secret_is_shown_once_and_no_row_holds_it(receiver):
    alice, secret = alice_with(["slashed"], webhook_url=receiver.url)
    row = NoticeChoice.objects.get(user=alice)
    assert secret and secret not in (row.webhook_salt, row.webhook_url)
    assert notices.choose(user=alice, kinds=[], by_email=False, webhook_url=receiver.url) == ""


def test_an_address_that_is_not_confirmed_gets_no_mail():
    with pytest.raises(Refused):
        notices.choose(user=cast.bob(), kinds=["job_ended"], by_email=True, webhook_url="")


def test_what_is_an_operators_is_told_to_nobody_else():
    with pytest.raises(Refused):
        notices.choose(user=cast.bob(), kinds=["books"], by_email=False, webhook_url="")


def test_a_slash_a_silence_and_a_low_balance_are_told_once_an_episode(at_once, receiver):
    alice, _ = alice_with(["slashed", "worker_silent", "low_balance"], webhook_url=receiver.url)
    worker = cast.a_worker("her_gpu", alice)
    job = cast.a_job(cast.a_client("his_lab", cast.bob()), "computing")
    cast.a_client("her_lab", alice, balance=3)
    assignment = cast.attempt_of(job)
    factories.submit_answer(assignment, factories.wrong_answer(job))
    factories.verify(assignment)
    Worker.objects.filter(pk=worker.pk).update(last_heartbeat_at=F("last_heartbeat_at") - timedelta(hours=1))
    assert [row.kind for row in scan()] == ["low_balance", "slashed", "worker_silent"]
    assert scan() == []
    Worker.objects.filter(pk=worker.pk).update(last_heartbeat_at=F("last_heartbeat_at") + timedelta(minutes=9))
    assert [row.kind for row in scan()] == ["worker_silent"]  # it was heard, and fell silent again


def test_operators_are_told_of_the_books_the_disk_and_a_standstill(receiver, settings):
    olga = cast.olga()
    notices.choose(user=olga, kinds=["books", "disk", "beat"], by_email=False, webhook_url=receiver.url)
    now = database_now()
    BooksCheck.objects.create(asked_by="coordinator", checked_at=now, problem_count=1, problems=["One is off."])
    settings.POLICY = type(settings.POLICY)(disk_reserve_bytes=10**18)
    notices.run_due(now - timedelta(minutes=10))
    assert sorted(Notice.objects.values_list("kind", flat=True)) == ["beat", "books", "disk"]
    notices.run_due(now)
    assert Notice.objects.count() == 3


def test_the_page_keeps_a_choice_and_shows_the_secret_once(client, receiver):
    client.force_login(cast.alice())
    form = {"notify-kinds": ["job_ended"], "notify-webhook_url": receiver.url}
    shown = client.post("/account/notifications/", form).content.decode()
    secret = shown.split('id="secret" class="code" readonly value="')[1].split('"')[0]
    again = client.get("/account/notifications/").content.decode()
    assert len(secret) == 64 and secret not in again and receiver.url in again and "books" not in again
    form["notify-webhook_url"] = "https://evil.org/"
    answer = client.post("/account/notifications/", form)
    assert answer.status_code == 400 and "does not list evil.org" in answer.content.decode()


def test_several_that_fell_silent_together_are_told_in_one_notice(receiver):
    alice, _ = alice_with(["worker_silent"], by_email=True)
    for i in range(5):
        factories.make_worker(name=f"w{i}", user=alice)
    Worker.objects.update(last_heartbeat_at=database_now() - timedelta(hours=1))
    scan()
    scan()
    assert [len(notice.lines) for notice in Notice.objects.exclude(lines=[]).filter(channel="email")] == [5]
