"""A worker's page: how it is now, what it earns, why its reputation moved, why it got a job or did not, and pausing."""

from datetime import timedelta
from uuid import UUID

import pytest

from marketplace.dashboard import worker as page
from marketplace.models import Account, Transfer, Worker, database_now, guards
from tests import factories
from tests.dashboard import cast
from tests.dashboard.test_pages import HTML, body

pytestmark = pytest.mark.django_db
PATH = "/dashboard/workers/worker_1/"


def test_what_a_machine_cannot_read_is_unknown_and_never_zero(client):
    cast.a_worker(load=None, memory_free_bytes=None, temperature_celsius=None)
    html = body(client, PATH)
    assert html.count("<strong>unknown</strong>") == 3 and "<meter" not in html


def test_what_it_reads_is_shown_with_a_labelled_gauge(client):
    cast.a_worker(load=0.42, memory_bytes=24 * 2**30, memory_free_bytes=18 * 2**30, temperature_celsius=61.4)
    html = body(client, PATH)
    for text in (
        "42 %",
        "6.0 GiB of 24.0 GiB",
        "61 °C",
        'aria-label="Temperature" min="0" max="1" high="0.9" value="0.614"',
    ):
        assert text in html, text


def test_the_job_in_hand_is_shown_with_its_progress(client):
    worker = cast.a_worker()
    job = cast.a_job(cast.a_client(), "computing")
    factories.beat(worker, cast.attempt_of(job))
    html = body(client, PATH)
    assert (
        f"/dashboard/jobs/{job.pk}/" in html
        and 'aria-label="Progress of the job in hand"' in html
        and "half way" in html
    )


def test_earnings_are_what_its_jobs_paid_day_by_day(client):
    worker = cast.a_worker()
    payer = cast.a_client()
    cast.a_job(payer, "verified")
    cast.a_job(payer, "verified")
    chart = page.earnings_chart(worker)
    paid = sum(each.amount for each in Transfer.objects.filter(code="capture")) / 1e6
    assert chart.rows[-1][1] == pytest.approx(paid) and paid > 0
    assert len(chart.rows) == page.EARNINGS_DAYS and chart.rows[0][1] == 0
    assert 'id="chart-earnings"' in body(client, PATH)


def test_every_change_of_reputation_is_drawn_and_told_with_its_reason(client):
    worker = cast.a_worker()
    cast.be_wrong_about(cast.a_job(cast.a_client()))
    html = body(client, PATH)
    change = worker.contributor.reputation_changes.get()
    assert 'id="chart-reputation"' in html and change.reason.split(".")[0][:40] in html
    assert "from 100 to 90" in html


def test_why_a_worker_got_a_job_and_another_did_not(client):
    cast.a_worker("worker_1")
    job = cast.a_job(cast.a_client(), "assigned")
    cast.a_worker("worker_2")
    cast.a_worker("worker_3", draining=True)
    cast.a_worker("worker_4", compute_capacity=1.0)
    assert "It got attempt 1: the only one that could" in body(client, f"{PATH}?job={job.pk}")
    html = body(client, f"/dashboard/workers/worker_2/?job={job.pk}")
    assert "Attempt 1 went to worker_1" in html and "worker_2 meets what it demands" in html
    assert "it is paused" in body(client, f"/dashboard/workers/worker_3/?job={job.pk}")
    asked = factories.make_job(requirements={"min_compute_capacity": 50})
    html = body(client, f"/dashboard/workers/worker_4/?job={asked.pk}")
    assert "worker_4 could not take it: it has too little compute capacity." in html
    assert "worker_2 can take it now." in body(client, f"/dashboard/workers/worker_2/?job={asked.pk}")


def test_a_job_is_asked_about_by_the_characters_that_pages_show_of_it(client):
    cast.a_worker("worker_1")
    payer = cast.a_client()
    job = cast.a_job(payer, "assigned")
    assert "It got attempt 1" in body(client, f"{PATH}?job={str(job.pk)[:8]}")
    assert "It got attempt 1" in body(client, f"{PATH}?job={str(job.pk)[:13].upper()}")
    twin = cast.a_job(payer, "cancelled")
    twin.pk = UUID(str(job.pk)[:8].ljust(32, "0"))
    twin.escrow = Account.objects.create(kind="escrow", name=str(twin.pk))
    guards.drop()  # a job begins as pending
    twin.save(force_insert=True)
    guards.create()
    assert "More than one job begins like that" in body(client, f"{PATH}?job={str(job.pk)[:8]}")


@pytest.mark.parametrize("key", ["nonsense", "0000000", "00000000-0000-4000-8000-000000000000"])
def test_asking_about_no_job_is_said_beside_the_field(client, key):
    cast.a_worker()
    assert 'id="id_job_error"' in body(client, f"{PATH}?job={key}")


def test_nobody_learns_of_anothers_job_by_asking(client, settings):
    cast.a_worker("worker_1", cast.bob())
    given = cast.a_job(cast.a_client("olgas_lab", cast.olga()), "computing")
    hers = cast.a_job(cast.a_client("alices_lab", cast.alice()))
    settings.SANDBOX = False
    client.force_login(cast.a_user("carol"))
    assert "There is no such job among those" in body(client, f"{PATH}?job={hers.pk}")
    client.force_login(Worker.objects.get(name="worker_1").contributor.user)
    assert "It got attempt 1" in body(client, f"{PATH}?job={given.pk}")
    assert "There is no such job among those" in body(client, f"{PATH}?job={hers.pk}")


def test_a_paused_worker_gets_nothing_until_it_is_resumed(client):
    worker = cast.a_worker()
    client.post(f"{PATH}pause/", {"paused": "1"}, headers=HTML)
    html = body(client, PATH)
    assert "worker_1 is paused; it finishes what it has." in html and ">Resume<" in html
    assert worker.events.get(kind="worker.paused").actor == "dashboard"
    job = cast.a_job(cast.a_client())
    factories.coordination.assign_pending()
    job.refresh_from_db()
    assert job.state == "pending"
    client.post(f"{PATH}pause/", {"paused": "1"}, headers=HTML)
    assert "worker_1 is paused already." in body(client, PATH)
    client.post(f"{PATH}pause/", {}, headers=HTML)
    assert factories.coordination.assign_pending() == 1


def test_pausing_is_the_owners(client, settings):
    cast.a_worker("worker_1", cast.bob())
    settings.SANDBOX = False
    client.force_login(cast.alice())
    assert client.post(f"{PATH}pause/", {"paused": "1"}, headers=HTML).status_code == 404
    assert not Worker.objects.get(name="worker_1").draining
    assert "pause/" not in body(client, PATH)


def test_earnings_of_other_days_are_on_other_days(client):
    worker = cast.a_worker()
    chart = page.earnings_chart(worker)
    today = database_now()
    assert [row[0] for row in chart.rows][-2:] == [f"{today - timedelta(days=1):%b %-d}", f"{today:%b %-d}"]


def test_a_worker_that_is_handed_back_gives_its_job_to_another(client):
    worker = cast.a_worker()
    job = cast.a_job(cast.a_client(), "computing")
    client.post(f"{PATH}pause/", {"hand_back": "1"}, headers=HTML)
    assert "others get what it had" in body(client, PATH)
    job.refresh_from_db()
    worker.refresh_from_db()
    assert job.state == "pending" and worker.draining and worker.stake.balance == 150_000_000


def test_hours_are_set_and_what_is_no_hours_is_said(client):
    cast.a_worker()
    client.post(f"{PATH}hours/", {"schedule": "mon-fri 18:00-08:00", "time_zone": "Europe/Berlin"}, headers=HTML)
    html = body(client, PATH)
    assert 'value="mon-fri 18:00-08:00"' in html and 'value="Europe/Berlin"' in html
    client.post(f"{PATH}hours/", {"schedule": "sometimes", "time_zone": "UTC"}, headers=HTML)
    html = body(client, PATH)
    assert 'role="alert"' in html and 'value="mon-fri 18:00-08:00"' in html
