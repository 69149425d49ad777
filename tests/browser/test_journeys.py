"""A client's, a contributor's and an operator's way on a closed network, from the log-in to what they came for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect

from marketplace.actions import books, contests, minting
from marketplace.models import Assignment, BooksCheck, Client, Job, Worker, database_now
from tests import factories
from tests.api.machine import ENROLMENT
from tests.api.server import Server
from tests.browser.test_accessible import look
from tests.dashboard import cast

pytestmark = pytest.mark.processes
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module", autouse=True)
def _database_beside_the_browsers_loop() -> Iterator[None]:
    """Playwright runs a loop in this thread, in which Django would refuse to ask the database."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        yield


@dataclass
class Closed:
    url: str
    browser: Browser

    def log_in(self, name: str) -> Page:
        page = self.browser.new_context(base_url=self.url).new_page()
        page.set_default_timeout(10_000)
        page.goto("/dashboard/")
        page.get_by_label("Username").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("main").get_by_role("button").click()
        expect(page.locator("#connection")).to_have_text("Live")
        return page


@pytest.fixture
def closed(committed_db: str, tmp_path: Path, browser: Browser) -> Iterator[Closed]:
    """Alice has a client and a worker, Bob too; Olga operates. All was made in the sandbox, where wallets fill."""
    alice, bob = cast.alice(), cast.bob()
    cast.olga()
    cast.a_client("her_lab", alice)
    cast.a_client("his_lab", bob)
    cast.a_worker("her_gpu", alice, draining=True)
    cast.a_worker("his_gpu", bob)
    minting.mint(amount=1000, reason="for what is overturned", actor="olga")
    server = Server(tmp_path, COMPUTENET_SANDBOX="0", ALLOWED_HOSTS="127.0.0.1")
    try:
        server.wait_until_up()
        yield Closed(server.url, browser)
    finally:
        server.stop()


def compute(answer: Callable[[Job], Any], worker: str = "his_gpu") -> Assignment:
    """The coordinator's and a machine's part: the newest job goes to `worker`, is computed and checked."""
    Worker.objects.exclude(name=worker).update(draining=True)
    Worker.objects.filter(name=worker).update(last_heartbeat_at=database_now())
    assignment = factories.assign(Job.objects.latest("submitted_at"))
    factories.start(assignment)
    factories.submit_answer(assignment, answer(assignment.job))
    factories.verify(assignment)
    return assignment


def test_a_client_from_log_in_to_result(closed: Closed) -> None:
    page = closed.log_in("alice")
    page.get_by_label("Client address").locator("visible=true").first.fill("her_lab")
    page.get_by_label("Model", exact=True).select_option("linear_regression")
    page.get_by_label("Reward").fill("50")
    page.get_by_role("button", name="Submit job").click()
    expect(page.locator("#job")).to_contain_text("pending")
    compute(factories.right_answer)
    expect(page.locator("#job")).to_contain_text("verified")
    expect(page.locator("#job")).to_contain_text("his_gpu")
    page.get_by_role("link", name="Wallet").click()
    page.get_by_label("Wallet of").select_option("her_lab")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".statement")).to_contain_text("held for a job")
    page.get_by_label("To", exact=True).fill("his_lab")
    page.get_by_label("Amount (tokens)").first.fill("12.5")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("12.5 tokens went from her_lab to his_lab.")).to_be_visible()
    expect(page.locator(".statement")).to_contain_text("−12.5")


def test_a_contributor_from_log_in_to_the_first_job(closed: Closed) -> None:
    page = closed.log_in("alice")
    page.get_by_role("link", name="Add a machine").click()
    page.get_by_label("Worker ID").fill("attic")
    page.get_by_label("GPU type").select_option("RTX 4090")
    expect(page.get_by_label("Compute capacity")).to_have_value("82.6")
    page.get_by_label("Stake").fill("100")
    page.get_by_role("button", name="Register and make its key").click()
    key = page.get_by_label("Enrolment key").input_value()
    machine = page.locator('[data-machine="attic"]')
    expect(machine.locator(".now")).to_contain_text("Connected")
    body = ENROLMENT | {"enrolment_key": key}
    assert requests.post(f"{closed.url}/worker/enrol", json=body, timeout=20).status_code == 200
    expect(machine.locator(".now")).to_contain_text("Benchmark")
    Worker.objects.filter(name="attic").update(measured_rate=40.0)
    cast.a_job(Client.objects.get(address="his_lab"), "pending")
    compute(factories.right_answer, "attic")
    expect(machine.locator(".done")).to_have_count(5)
    page.get_by_role("link", name="Wallet").click()
    page.get_by_label("Wallet of").select_option("alice")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".statement")).to_contain_text("paid for a job")


def test_an_operator_from_log_in_to_a_rejection_overturned(closed: Closed) -> None:
    job = cast.a_job(Client.objects.get(address="her_lab"), "pending")
    rejected = compute(factories.wrong_answer)
    assert rejected.job_id == job.pk
    bob = User.objects.get(username="bob")
    contests.contest(worker_name="his_gpu", assignment_id=rejected.pk, note="It was right.", user=bob)
    page = closed.log_in("olga")
    page.get_by_role("button", name="Stop auto-coordination").click()
    expect(page.locator("#coordination")).to_contain_text("Switched by olga")
    page.get_by_role("link", name="Ledger").click()
    page.get_by_role("button", name="Check now").click()
    expect(page.get_by_text("Being checked now")).to_be_visible()
    books.check(row=BooksCheck.objects.latest("id").pk)
    page.reload()
    expect(page.get_by_role("heading", name="The books add up")).to_be_visible()
    page.get_by_role("link", name="Home").click()
    expect(page.locator("#attention")).to_contain_text("1 contested rejection waits")
    page.get_by_role("link", name="Decide").click()
    page.locator("input.action-select").first.check()
    page.locator("select[name=action]").select_option("overturn")
    page.locator("button[name=index]").first.click()
    expect(page.get_by_text("1 rejection(s) overturned.")).to_be_visible()
    page.goto("/dashboard/")
    expect(page.locator("#attention")).not_to_contain_text("contested")


def test_the_pages_of_an_account_are_accessible(closed: Closed) -> None:
    page, problems = closed.log_in("olga"), []
    for path in ("/account/", "/account/notifications/", "/dashboard/incident/"):
        page.goto(path)
        problems += look(page, path)
    assert not problems, "\n".join(problems)
