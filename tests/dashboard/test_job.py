"""A job's page: where the time went, why it waits, and asking for the same again."""

import json
import os
import shlex
import subprocess
import sys
from html import unescape

import pytest

from marketplace.models import Job, Transfer
from tests import factories
from tests.dashboard import cast
from tests.dashboard.test_pages import HTML, body

pytestmark = pytest.mark.django_db
SAME = ("model_type", "params", "features", "target", "dataset_id", "reward", "resource_class_id")


def page_of(job: Job) -> str:
    return f"/dashboard/jobs/{job.pk}/"


def test_the_timeline_has_a_bar_for_every_state_that_the_job_was_in(client):
    cast.a_worker()
    job = cast.a_job(cast.a_client(), "verified")
    html = body(client, page_of(job))
    chart = html[html.index('id="chart-timeline"') : html.index("</figure>")]
    for phase in ("waiting", "given", "computing", "being checked"):
        assert f'<th scope="row">{phase}</th>' in chart
    assert "so far" not in chart


def test_progress_is_labelled_with_what_the_worker_says(client):
    worker = cast.a_worker()
    job = cast.a_job(cast.a_client(), "computing")
    factories.beat(worker, cast.attempt_of(job))
    html = body(client, page_of(job))
    assert '<label for="progress">Progress, 50 %: half way</label>' in html and 'value="0.500"' in html


def test_a_waiting_job_names_the_demand_and_the_hosts_that_it_keeps_out(client):
    cast.a_client()
    cast.a_worker("worker_rtx")
    job = factories.make_job(requirements={"gpu_type": "A100"})
    assert "1 worker has no A100: worker_rtx." in body(client, page_of(job))


def test_the_chosen_workers_reason_is_told(client):
    cast.a_worker("one")
    cast.a_worker("two")
    job = cast.a_job(cast.a_client(), "assigned")
    assert "its turn came first among the 2 that could" in body(client, page_of(job))


def test_submitting_again_makes_the_same_job_anew_and_holds_its_reward(client):
    payer = cast.a_client()
    dataset = {"X": factories.rows(30, 3), "y": [float(i) for i in range(30)]}
    job = factories.make_job(
        model_type="ridge_regression", data=dataset, params={"alpha": 2.0}, columns=[0, 2], target=3,
        requirements={"gpu_type": "A100", "min_memory_bytes": 5},
    )  # fmt: skip
    client.post(f"{page_of(job)}cancel/", headers=HTML)
    response = client.post(f"{page_of(job)}retry/", headers=HTML)
    again = Job.objects.exclude(pk=job.pk).get()
    assert response.headers["Location"] == page_of(again)
    for name in (
        "model_type",
        "params",
        "features",
        "target",
        "dataset_id",
        "reward",
        "resource_class_id",
        "client_id",
    ):
        assert getattr(again, name) == getattr(job, name), name
    payer.wallet.refresh_from_db()
    assert payer.wallet.balance == 950_000_000 and Transfer.objects.filter(code="hold").count() == 2


def test_submitting_again_without_money_says_so(client):
    job = cast.a_job(cast.a_client(balance=60))
    response = client.post(f"{page_of(job)}retry/", headers=HTML, follow=True)
    assert "alice has 10 tokens" in response.content.decode() and Job.objects.count() == 1


def test_a_clone_fills_in_the_three_steps(client):
    cast.a_client()
    job = factories.make_job(
        model_type="kmeans_clustering", data=factories.rows(30, 3), params={"k": 7}, columns=[0, 2], reward=12.5
    )
    html = body(client, page_of(job))
    clone = unescape(html.split('class="clone"')[1].split('href="')[1].split('"')[0])
    html = body(client, clone)
    assert 'name="kmeans_clustering.k" value="7"' in html and 'value="kmeans_clustering" checked' in html
    quote = clone.replace("/model/", "/quote/")
    html = body(client, quote)
    assert 'value="12.5"' in html and "30 rows, 2 columns" in html


def test_the_same_job_as_curl_and_as_python_makes_the_same_job(client):
    """The body of the one, and the arguments of the other, through the API itself."""
    cast.a_client()
    data = {"X": factories.rows(30, 3), "y": [float(i) for i in range(30)]}
    job = factories.make_job(model_type="ridge_regression", data=data, params={"alpha": 2.0}, columns=[0, 2], target=3)
    html = unescape(body(client, page_of(job)))
    curl, python = (part.split("</code>")[0] for part in html.split("<code>")[1:])
    assert "COMPUTENET_API_KEY" not in html  # the sandbox would refuse a key that is not one
    words = shlex.split(curl)
    assert words[:4] == ["curl", "-X", "POST", "http://testserver/job/submit"]
    sent = json.loads(words[-1])
    made = client.post("/job/submit", sent, content_type="application/json").json()
    again = Job.objects.get(pk=made["job_id"])
    # The client is another program, which runs without Django: what it would send is printed instead.
    printing = python.replace("job = network.submit(", "print(__import__('json').dumps(network._request(").replace(
        f", reward={sent['reward']!r}", ""
    )
    printing = printing.split("job.wait()")[0].rstrip().removesuffix(")") + ")))"
    done = subprocess.run(
        [sys.executable, "-c", printing], capture_output=True, text=True, env={**os.environ, "HOME": "/nonexistent"}
    )
    assert done.returncode == 0, done.stderr
    for name, value in json.loads(done.stdout).items():
        assert value == sent.get(name, {} if name == "requirements" else None), name
    for name in SAME:
        assert getattr(again, name) == getattr(job, name), name
