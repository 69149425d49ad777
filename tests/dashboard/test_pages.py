"""What the pages show."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from marketplace.models import Network, Worker
from tests.dashboard import cast

pytestmark = pytest.mark.django_db
HTML = {"Accept": "text/html"}


def body(client, path: str, status: int = 200, **headers: str) -> str:
    response = client.get(path, headers={**HTML, **headers})
    assert response.status_code == status
    return response.content.decode()


def test_empty_home_page_says_what_to_do_first(client):
    html = body(client, "/dashboard/")
    assert "No job yet." in html
    assert "No client yet." in html
    assert "This page" not in html
    assert "Sandbox." in html


def test_a_browser_gets_the_home_page_at_the_root_and_a_program_does_not(client):
    assert "Recent jobs" in body(client, "/")
    assert client.get("/").headers["Content-Type"] == "application/json"


def test_home_shows_the_seeds_cards_and_lists(client):
    made = cast.jobs_in_every_state(cast.a_client("alice", balance=1000))
    html = body(client, "/dashboard/")
    for figure, value in {
        "total_workers": "4",
        "active_workers": "4",
        "total_jobs": "7",
        "completed_jobs": "1",
    }.items():
        assert f'data-figure="{figure}">{value}</dd>' in html
    assert 'data-figure="success_rate">50.0' in html  # one verified, one failed
    assert 'data-figure="contract_balance">200' in html  # pending, assigned, computing and completed hold 50 each
    for state, job in made.items():
        assert f"/dashboard/jobs/{job.pk}/" in html
        assert f"</span> {cast.WORDS.get(state, state)}</span>" in html
    assert ">750</td>" in html  # alice paid one and has four held
    assert "RTX 4090" in html


@pytest.mark.parametrize("state", cast.STATES)
def test_job_page_of_every_state_says_what_happened(client, state):
    cast.a_worker()
    job = cast.a_job(cast.a_client(), state)
    html = body(client, f"/dashboard/jobs/{job.pk}/")
    assert f'data-state="{state}"' in html
    assert "job.submitted" in html or "pending" in html
    assert ">hold</th>" in html
    assert ('data-ended="true"' in html) == (state in ("verified", "failed", "cancelled"))


def test_verified_job_page_shows_verdict_result_and_payment(client):
    cast.a_worker("worker_rtx")
    job = cast.a_job(cast.a_client(), "verified", "kmeans_clustering", k=2)
    html = body(client, f"/dashboard/jobs/{job.pk}/")
    verdict = job.assignments.get().verdict
    assert verdict.method in html.replace("&#x27;", "'").replace("&lt;", "<").replace("&gt;", ">")
    assert "inertia" in html and f"/dashboard/jobs/{job.pk}/result/" in html
    assert ">capture</th>" in html
    assert f"/job/{job.pk}/result?format=npz" in html


def test_rejected_attempt_is_told_with_its_verdict_and_the_slash(client):
    cast.a_worker("worker_bad")
    job = cast.a_rejected_job(cast.a_client())
    html = body(client, f"/dashboard/jobs/{job.pk}/")
    assert "rejected" in html and ">slash</th>" in html


def test_a_pending_job_says_why_it_waits(client):
    payer = cast.a_client()
    path = f"/dashboard/jobs/{cast.a_job(payer).pk}/"
    assert "No active worker has a machine that is enrolled." in body(client, path)
    cast.a_worker("silent_one", last_heartbeat_at=None)
    cast.a_worker("silent_two", last_heartbeat_at=None)
    Network.objects.update(coordination_active=False)
    html = body(client, path)
    assert "2 workers are silent: silent_one, silent_two." in html and "waits for a trigger" in html


def test_a_job_whose_only_worker_was_wrong_says_that_it_has_tried(client):
    cast.a_worker()
    job = cast.a_rejected_job(cast.a_client())
    assert "1 worker got this job wrong: worker_1." in body(client, f"/dashboard/jobs/{job.pk}/")


def test_worker_page_shows_machine_standing_and_work(client):
    cast.a_worker("worker_rtx")
    job = cast.a_job(cast.a_client(), "verified")
    html = body(client, "/dashboard/workers/worker_rtx/")
    for text in ("RTX 4090", "24.0 GiB", "150 tokens", f"/dashboard/jobs/{job.pk}/"):
        assert text in html
    assert "Temperature</span> <strong>unknown" in html


def test_silent_and_suspended_workers_are_told_apart_by_words(client):
    cast.a_worker("talks")
    cast.a_worker("silent_one", last_heartbeat_at=None)
    cast.a_worker("gone", is_active=False)
    html = body(client, "/dashboard/")
    assert 'data-state="idle"' in html and 'data-state="silent"' in html
    assert 'data-worker="gone"' not in html
    assert 'data-state="inactive"' in body(client, "/dashboard/workers/gone/")


@pytest.mark.parametrize(
    "path", ["/dashboard/jobs/00000000-0000-4000-8000-000000000000/", "/dashboard/workers/nobody/"]
)
def test_what_is_not_there_is_a_page_that_says_so(client, path):
    assert "There is nothing here" in body(client, path, 404)


def test_hostile_text_is_escaped_everywhere(client):
    hostile = '<script>alert("x")</script>'
    cast.a_worker("worker_1", device={"name": hostile, "backend": hostile, "simulated": False}, gpu_type=hostile)
    job = cast.a_job(cast.a_client(), "computing")
    job.assignments.update(note=hostile, reason=hostile)
    job.events.model.objects.create(kind="job.note", job=job, actor=hostile, reason=hostile)
    job.dataset.label = hostile
    job.dataset.columns = [{**column, "name": hostile} for column in job.dataset.columns]
    job.dataset.save()
    for path in ("/dashboard/", f"/dashboard/jobs/{job.pk}/", "/dashboard/workers/worker_1/"):
        html = body(client, path)
        assert "<script>alert" not in html
        assert "&lt;script&gt;" in html


def test_pages_have_no_inline_script_or_style_and_ask_nothing_of_other_hosts(client):
    cast.a_worker("worker_1")
    job = cast.a_job(cast.a_client(), "verified")
    for path in ("/dashboard/", f"/dashboard/jobs/{job.pk}/", "/dashboard/workers/worker_1/", "/login/"):
        response = client.get(path, headers=HTML)
        html = response.content.decode().replace("http://testserver", "")  # this origin
        assert " style=" not in html and "<style" not in html and " onclick" not in html
        assert all(part.startswith(' src="/') for part in html.split("<script")[1:])
        assert "http://" not in html.replace("http://www.w3.org/2000/svg", "") and "https://" not in html
        assert "default-src 'self'" in response.headers["Content-Security-Policy"]


def queries(client, path: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        body(client, path)
    return len(captured)


def test_home_page_takes_as_many_queries_for_many_rows_as_for_few(client):
    payer = cast.a_client("alice")
    cast.a_worker("first")
    cast.a_job(payer, "computing")
    few = queries(client, "/dashboard/")
    for index in range(6):
        cast.a_client(f"client_{index}")
        cast.a_worker(f"worker_{index}", **({"host": Worker.objects.get(name="first")} if index % 2 else {}))
        cast.a_job(payer, "pending")
    assert queries(client, "/dashboard/") == few < 20


def test_job_page_takes_as_many_queries_for_many_attempts_as_for_one(client):
    cast.a_worker("first")
    job = cast.a_rejected_job(cast.a_client())
    path = f"/dashboard/jobs/{job.pk}/"
    few = queries(client, path)
    cast.a_worker("second")
    cast.be_wrong_about(job)
    assert job.assignments.count() == 2
    assert queries(client, path) == few < 20


def test_htmx_gets_the_fragments_alone(client):
    html = body(client, "/dashboard/", **{"HX-Request": "true"})
    assert "<html" not in html
    for name in ("figure-total_jobs", "coordination", "jobs", "workers", "clients"):
        assert f'id="{name}"' in html
