"""What the pages' forms do, and what they say when they may not."""

import io

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from marketplace.models import Client, Job, Network, Worker
from tests.dashboard import cast

pytestmark = pytest.mark.django_db


def post(client, path: str, data: dict, *, follow: bool = True):
    return client.post(path, data, follow=follow, headers={"Accept": "text/html"})


def job_form(**fields: object) -> dict[str, object]:
    form = {"client_address": "alice", "model_type": "linear_regression", "reward": "50", "target": "", **fields}
    return {f"job-{name}": value for name, value in form.items()}


def test_worker_form_registers_a_worker_and_fills_in_its_capacity(client):
    form = {"worker-worker_id": "worker_rtx4090_01", "worker-gpu_type": "RTX 4090", "worker-stake_amount": "150"}
    html = post(client, "/dashboard/workers/", form).content.decode()
    assert "Worker worker_rtx4090_01 is registered" in html
    worker = Worker.objects.get(name="worker_rtx4090_01")
    assert (worker.compute_capacity, worker.stake.balance) == (82.6, 150_000_000)


def test_client_form_registers_a_client_with_its_balance(client):
    html = post(client, "/dashboard/clients/", {"client-client_address": "alice", "client-initial_balance": "12.5"})
    assert "Client alice is registered." in html.content.decode()
    assert Client.objects.get(address="alice").wallet.balance == 12_500_000


def test_client_form_without_a_balance_gives_the_default(client):
    post(client, "/dashboard/clients/", {"client-client_address": "alice"})
    assert Client.objects.get(address="alice").wallet.balance == 1_000_000_000


def test_job_form_without_data_submits_a_sample(client):
    cast.a_client()
    response = post(client, "/dashboard/jobs/", job_form())
    job = Job.objects.get()
    assert response.redirect_chain == [(f"/dashboard/jobs/{job.pk}/", 302)]
    assert (job.reward, job.dataset.sample) == (50_000_000, True)


def test_job_form_takes_a_table_with_a_named_target(client):
    cast.a_client()
    rows = "".join(f"{i},{2 * i + 1},{i % 3}\n" for i in range(20))
    file = SimpleUploadedFile("heights.csv", f"age,height,shoe\n{rows}".encode())
    post(client, "/dashboard/jobs/", job_form(file=file, target="height"))
    job = Job.objects.select_related("dataset").get()
    assert job.dataset.label == "heights.csv"
    assert job.dataset.columns[1]["matrix_column"] == job.target


def test_job_form_takes_an_array_a_target_number_and_parameters(client):
    cast.a_client()
    buffer = io.BytesIO()
    np.save(buffer, np.random.default_rng(0).normal(size=(30, 3)))
    upload = lambda: SimpleUploadedFile("points.npy", buffer.getvalue())  # noqa: E731
    post(client, "/dashboard/jobs/", job_form(file=upload(), target="0"))
    post(
        client,
        "/dashboard/jobs/",
        job_form(file=upload(), model_type="kmeans_clustering", **{"kmeans_clustering.k": "4"}),
    )
    kmeans, regression = Job.objects.order_by("-submitted_at")
    assert regression.target == 0
    assert (kmeans.target, kmeans.params["k"]) == (None, 4)


def test_parameters_of_a_model_that_was_not_chosen_are_left_alone(client):
    cast.a_client()
    post(client, "/dashboard/jobs/", job_form(**{"kmeans_clustering.k": "4"}))
    assert "k" not in Job.objects.get().params


@pytest.mark.parametrize(
    ("path", "form", "sentence"),
    [
        ("jobs", job_form(client_address="nobody"), "There is no client nobody"),
        ("jobs", job_form(reward="-5"), "reward must be"),
        ("jobs", job_form(reward="5000"), "alice has 1,000 tokens"),
        ("jobs", job_form(reward="NaN"), "Enter a number."),
        ("jobs", job_form(model_type="mining"), "Select a valid choice."),
        ("jobs", job_form(file=SimpleUploadedFile("x.exe", b"MZ")), "must end in .csv, .parquet, .npy or .npz"),
        ("clients", {"client-client_address": "alice"}, "The name alice is taken."),
        ("clients", {"client-client_address": "<b>"}, "client_address must be 1 to 64 letters"),
        ("clients", {"client-client_address": "carol", "client-initial_balance": "-1"}, "initial_balance must be"),
        (
            "workers",
            {"worker-worker_id": "w", "worker-gpu_type": "RTX 4090", "worker-stake_amount": "5"},
            "stake_amount",
        ),
        ("workers", {"worker-worker_id": "w", "worker-gpu_type": "", "worker-stake_amount": "150"}, "required"),
    ],
)
def test_a_refusal_is_a_sentence_beside_what_was_typed_and_changes_nothing(client, path, form, sentence):
    cast.a_client()
    response = post(client, f"/dashboard/{path}/", form)
    assert 400 <= response.status_code < 500
    assert sentence in response.content.decode().replace("&#x27;", "'")
    assert (Job.objects.count(), Client.objects.count(), Worker.objects.count()) == (0, 1, 0)


def test_what_was_typed_is_still_there_after_a_refusal(client):
    html = post(client, "/dashboard/jobs/", job_form(client_address="nobody", reward="17.25")).content.decode()
    assert 'value="nobody"' in html and 'value="17.25"' in html


def test_network_control_stops_starts_and_triggers(client):
    cast.a_worker()
    job = cast.a_job(cast.a_client())
    html = post(client, "/dashboard/network/stop/", {}).content.decode()
    assert "Auto-coordination is off." in html
    assert not Network.objects.get().coordination_active
    assert "A cycle ran and assigned 1 job." in post(client, "/dashboard/network/trigger/", {}).content.decode()
    job.refresh_from_db()
    assert job.state == "assigned"
    post(client, "/dashboard/network/start/", {})
    assert Network.objects.get().coordination_active
    assert post(client, "/dashboard/network/explode/", {}).status_code == 404


def test_cancel_gives_the_reward_back_and_a_second_one_says_why_not(client):
    job = cast.a_job(cast.a_client())
    assert "The job is cancelled." in post(client, f"/dashboard/jobs/{job.pk}/cancel/", {}).content.decode()
    assert Client.objects.get().wallet.balance == 1_000_000_000
    assert "cannot become cancelled" in post(client, f"/dashboard/jobs/{job.pk}/cancel/", {}).content.decode()


def test_a_forms_address_typed_by_hand_leads_home(client):
    for path in ("workers", "clients"):
        assert client.get(f"/dashboard/{path}/").headers["Location"] == "/dashboard/"


def test_a_form_from_another_site_is_refused():
    from django.test import Client as Browser  # noqa: PLC0415  the name means something else here

    strict = Browser(enforce_csrf_checks=True)
    assert strict.post("/dashboard/clients/", {"client-client_address": "eve"}).status_code == 403
    assert not Client.objects.exists()
