"""The first page: figures that cost little, the last day's lines, the feed, and what needs attention."""

from datetime import timedelta

import pytest
from django.db.models import F

from marketplace.actions import network, tallies
from marketplace.dashboard import hours
from marketplace.models import Contest, Job, Network, Tally, Verdict, Worker, database_now
from tests import factories
from tests.dashboard import cast

pytestmark = pytest.mark.django_db


def page(client, **headers) -> str:
    return client.get("/dashboard/", headers=headers).content.decode()


def every_kind_of_job() -> None:
    cast.a_worker()
    client = cast.a_client()
    for state in ("verified", "failed", "cancelled", "pending"):
        cast.a_job(client, state)


@pytest.fixture
def at_once(monkeypatch):
    """A tally may be taken up to now: nothing else writes here."""
    monkeypatch.setattr(tallies, "LAG", timedelta(0))


def test_figures_are_the_same_with_a_tally_and_without(at_once):
    every_kind_of_job()
    counted = network.stats()
    assert tallies.take().jobs == 4
    assert network.stats() == counted
    cast.a_job(cast.a_client("bob"), "pending")
    now = network.stats()["contract_state"]
    assert (now["total_jobs"], now["pending_jobs"], now["contract_balance"]) == (5, 2, 100)


def test_a_tally_goes_on_from_the_last_one_and_the_first_of_a_day_counts_anew(at_once):
    every_kind_of_job()
    tallies.take()
    assert tallies.take() is None  # none is due
    Tally.objects.update(counted_to=F("counted_to") - timedelta(minutes=10), jobs=1000)
    jobs = {True: 1004, False: 4}  # what was counted that day is believed, and what came after it added
    first = Tally.objects.get()
    same_day = first.counted_to.date() == (database_now() - tallies.LAG).date()
    assert tallies.take().jobs == jobs[same_day]
    Tally.objects.update(counted_to=F("counted_to") - timedelta(days=1))
    assert tallies.take().jobs == 4


def test_tallies_of_more_than_two_days_are_dropped():
    tallies.take()
    Tally.objects.update(counted_to=F("counted_to") - timedelta(days=3))
    tallies.take()
    assert Tally.objects.count() == 1


def test_the_last_day_is_shown_by_hours():
    now = database_now()
    for back in range(30):
        at = now - timedelta(hours=back, seconds=1)
        done = 100 - 3 * back
        numbers = {"jobs": done, "verified": done, "failed": 0, "cancelled": 0, "verified_seconds": 1.0}
        Tally.objects.create(counted_to=at, workers=5, active_workers=4, held=0, **numbers)
    rows = hours.hours()
    assert len(rows) == 24 and {row.jobs for row in rows} == {3} and {row.success for row in rows} == {100.0}
    assert hours.sparks()["sparks"]["total_jobs"].startswith("<svg")


def test_everybody_reads_that_something_happens_and_operators_who_and_what(client, settings):
    every_kind_of_job()
    settings.SANDBOX = False
    verified = Job.objects.get(state="verified")
    client.force_login(cast.bob())
    html = page(client)
    assert "verified and paid" in html and str(verified.pk) not in html and "by alice" not in html
    client.force_login(cast.olga())
    assert f"/dashboard/jobs/{verified.pk}/" in page(client)


def test_what_needs_attention_is_said_to_those_whose_it_is(client, settings):
    alice = cast.alice()
    worker = cast.a_worker("her_gpu", alice)
    job = cast.a_job(cast.a_client("her_lab", alice, balance=51), "computing")
    assignment = cast.attempt_of(job)
    factories.submit_answer(assignment, factories.wrong_answer(job))
    factories.verify(assignment)
    Worker.objects.filter(pk=worker.pk).update(last_heartbeat_at=database_now() - timedelta(minutes=1))
    Network.objects.update(last_cycle_at=database_now() - timedelta(minutes=1))
    settings.SANDBOX = False
    client.force_login(alice)
    html = page(client)
    for words in ("her_gpu has fallen silent", "her_gpu had answers rejected", "her_lab (", "runs low"):
        assert words in html
    assert "No coordination cycle has run" in html
    client.force_login(cast.bob())
    html = page(client)
    assert "No coordination cycle has run" in html and "her_gpu" not in html.split('id="workers"')[0]
    Contest.objects.create(verdict=Verdict.objects.get(), note="It was right.", opened_by="alice")
    client.force_login(cast.olga())
    html = page(client)
    assert "1 contested rejection waits" in html and "had answers rejected" not in html
