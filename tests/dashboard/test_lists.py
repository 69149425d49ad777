"""The lists of jobs and workers: filters, order, pages, CSV, and calling off several jobs at once."""

import csv
import io
import re
from datetime import timedelta

import pytest

from marketplace.actions import coordination, records
from marketplace.dashboard import jobs as listing
from marketplace.dashboard import market
from marketplace.models import Worker, database_now
from tests import factories
from tests.dashboard import cast
from tests.dashboard.test_pages import HTML, body

pytestmark = pytest.mark.django_db
JOBS, MARKET = "/dashboard/jobs/", "/dashboard/market/"


def listed(html: str, what: str = "job") -> list[str]:
    return re.findall(rf'<tr role="row" data-{what}="([^"]+)"', html)


def test_empty_lists_say_one_sentence_and_offer_one_action(client):
    assert "No job yet." in body(client, JOBS) and "/dashboard/jobs/new/" in body(client, JOBS)
    assert "No worker yet." in body(client, MARKET)
    assert "No job is like that." in body(client, f"{JOBS}?state=failed")
    assert "No worker is like that." in body(client, f"{MARKET}?search=x")


def test_chips_filter_by_state_and_say_how_many(client):
    made = cast.jobs_in_every_state(cast.a_client())
    html = body(client, JOBS)
    assert set(listed(html)) == {str(job.pk) for job in made.values()}
    for state, job in made.items():
        assert listed(body(client, f"{JOBS}?state={state}")) == [str(job.pk)]
        assert re.search(rf'data-state="{state}">.*?</span> <span class="help">1</span>', html)


def test_filters_narrow_by_model_client_worker_and_day(client):
    cast.a_worker("worker_rtx")
    first = cast.a_job(cast.a_client("alice"), "verified", "kmeans_clustering")
    second = cast.a_job(cast.a_client("bob"), model_type="pca_analysis")
    day = f"{first.submitted_at:%Y-%m-%d}"
    for query, expected in {
        "model=pca_analysis": [second],
        "client=alice": [first],
        "worker=worker_rtx": [first],
        f"since={day}&until={day}": [second, first],
        "until=2001-01-01": [],
    }.items():
        assert listed(body(client, f"{JOBS}?{query}")) == [str(job.pk) for job in expected], query


@pytest.mark.parametrize("query", ["state=odd", "since=yesterday", "model=x"])
def test_a_filter_that_makes_no_sense_is_said_beside_its_field(client, query):
    html = body(client, f"{JOBS}?{query}", 400)
    assert 'class="error"' in html


@pytest.mark.parametrize("mark", ["x", "2026-01-01~x", "~", "2026-01-01T00:00:00~00000000-0000-4000-8000-000000000000"])
def test_a_mark_that_somebody_typed_breaks_nothing(client, mark):
    assert client.get(JOBS, {"before": mark}, headers=HTML).status_code == 200


def test_older_jobs_are_on_the_next_page_and_none_is_missed(client, monkeypatch):
    monkeypatch.setattr(listing, "SHOWN", 2)
    payer = cast.a_client()
    made = [str(cast.a_job(payer).pk) for _ in range(5)]
    seen, path = [], JOBS
    while path:
        html = body(client, path)
        seen += listed(html)
        older = re.search(r'href="([^"]+)">Older', html)
        path = older[1].replace("&amp;", "&") if older else ""
    assert sorted(seen) == sorted(made) and len(seen) == 5


def test_ticked_jobs_are_cancelled_each_by_itself(client):
    payer = cast.a_client()
    first, second = cast.a_job(payer), cast.a_job(payer)
    done = cast.a_job(payer, "cancelled")
    ticked = {"job": [str(first.pk), str(done.pk), str(second.pk), "nonsense"], "next": f"{JOBS}?state=pending"}
    response = client.post(f"{JOBS}cancel/", ticked, headers=HTML)
    assert response.headers["Location"] == f"{JOBS}?state=pending"
    html = body(client, JOBS)
    assert "2 jobs are cancelled." in html and "A job that is cancelled cannot become cancelled." in html
    payer.wallet.refresh_from_db()
    assert payer.wallet.balance == 1_000_000_000
    assert client.post(f"{JOBS}cancel/", {"next": "https://example.org/"}).headers["Location"] == JOBS


def test_nobody_ticks_anothers_jobs(client, settings):
    alice = cast.alice()
    job = cast.a_job(cast.a_client("alices_lab", alice))
    settings.SANDBOX = False
    client.force_login(cast.bob())
    assert listed(body(client, JOBS)) == []
    client.post(f"{JOBS}cancel/", {"job": str(job.pk)})
    job.refresh_from_db()
    assert job.state == "pending"
    client.force_login(alice)
    assert listed(body(client, JOBS)) == [str(job.pk)]


def a_market() -> None:
    cast.a_worker("basement", gpu_type="RTX 4090", memory_bytes=24 * 2**30)
    cast.a_worker("rack", gpu_type="A100", gpu_tag="a100", compute_capacity=19.5, measured_rate=11.25)
    cast.a_worker("attic", last_heartbeat_at=None)
    cast.a_worker("gone", is_active=False)


def test_the_market_filters_and_sorts(client):
    a_market()
    for query, expected in {
        "": {"basement", "rack", "attic"},
        "?search=AS": {"basement"},
        "?gpu=A100": {"rack"},
        "?tflops=50": {"basement", "attic"},
        "?state=silent": {"attic"},
        "?state=idle": {"basement", "rack"},
        "?state=inactive": {"gone"},
        "?reputation=101": set(),
    }.items():
        assert set(listed(body(client, f"{MARKET}{query}"), "worker")) == expected, query
    assert listed(body(client, f"{MARKET}?sort=name"), "worker") == ["attic", "basement", "rack"]
    assert listed(body(client, f"{MARKET}?sort=-measured"), "worker")[0] == "rack"
    html = body(client, f"{MARKET}?sort=-claimed&tflops=5")
    assert '<option value="-claimed" selected>claimed TFLOPS</option>' in html, "filtering again keeps the order"
    assert 'aria-sort="descending"><a href="?tflops=5&amp;sort=claimed"' in html
    assert body(client, f"{MARKET}?sort=nonsense&page=nonsense")


def test_a_worker_is_shown_with_what_it_did(client):
    cast.a_worker("worker_rtx")
    payer = cast.a_client()
    cast.a_job(payer, "verified")
    cast.be_wrong_about(cast.a_job(payer))
    factories.set_reputation(93.25)
    assert (
        factories.is_due("records")
        and records.take(None) == 1
        and records.take(database_now() + timedelta(minutes=1)) == 0
    )
    html = body(client, MARKET)
    for text in ("93.3", "n 2", ">50 %<", "24.0 GiB", "82.6"):
        assert text in html, text
    worker = Worker.objects.get()
    assert worker.success_rate == 0.5 and 0 <= worker.median_wait_seconds < 60


def test_the_market_sorts_by_what_workers_did_and_a_cycle_counts_it(client):
    payer = cast.a_client()
    cast.a_worker("right")
    cast.a_job(payer, "verified")
    Worker.objects.update(is_active=False)
    cast.a_worker("wrong")
    cast.be_wrong_about(cast.a_job(payer))
    coordination.run_cycle(assign=False)
    Worker.objects.update(is_active=True)
    cast.a_worker("new")
    assert dict(Worker.objects.values_list("name", "success_rate")) == {"right": 1.0, "wrong": 0.0, "new": None}
    assert listed(body(client, f"{MARKET}?sort=-right"), "worker") == ["right", "wrong", "new"]
    assert listed(body(client, f"{MARKET}?sort=right"), "worker") == ["wrong", "right", "new"]
    Worker.objects.filter(name="wrong").update(median_wait_seconds=0.0001)
    html = body(client, f"{MARKET}?sort=wait")
    assert listed(html, "worker") == ["wrong", "right", "new"] and 'aria-sort="ascending"><a href="?sort=-wait"' in html


def test_a_job_in_hand_is_linked_for_its_client_alone(client, settings):
    alice = cast.alice()
    cast.a_worker("worker_rtx", cast.bob())
    job = cast.a_job(cast.a_client("alices_lab", alice), "computing")
    settings.SANDBOX = False
    client.force_login(alice)
    assert f"/dashboard/jobs/{job.pk}/" in body(client, MARKET)
    client.force_login(cast.a_user("carol"))
    html = body(client, MARKET)
    assert "another" in html and str(job.pk)[:8] not in html


def test_the_market_as_csv_has_every_worker_that_the_filters_let_through(client, monkeypatch):
    monkeypatch.setattr(market, "SHOWN", 1)
    a_market()
    cast.a_worker("1st", gpu_type="=HYPERLINK(1)")
    response = client.get(f"{MARKET}market.csv?sort=name")
    header, *rows = csv.reader(io.StringIO(b"".join(response.streaming_content).decode()))
    assert header == market.HEADER
    assert [row[0] for row in rows] == ["1st", "attic", "basement", "rack"] and rows[0][2] == "'=HYPERLINK(1)"


def test_a_filter_that_makes_no_sense_is_said_in_the_place_of_a_file(client):
    a_market()
    for path in (f"{MARKET}market.csv?memory=much", f"{MARKET}market.csv?memory=-1"):
        refused = client.get(path, headers=HTML)
        assert refused.status_code == 400 and "Memory from (GiB): " in refused.content.decode()
    refused = client.get(f"{MARKET}market.csv?gpu=Abacus")
    assert refused.status_code == 400 and refused.json()["error"].startswith("GPU: Select a valid choice.")


def test_market_pages_follow_each_other(client, monkeypatch):
    monkeypatch.setattr(market, "SHOWN", 2)
    a_market()
    assert len(listed(body(client, f"{MARKET}?sort=name"), "worker")) == 2
    html = body(client, f"{MARKET}?sort=name&page=2")
    assert listed(html, "worker") == ["rack"] and "Previous" in html and ">Next<" not in html
    assert factories.Worker.objects.count() == 4
