"""Outside the sandbox: who sees what, and who may do what."""

import pytest

from marketplace.models import Contributor, Network, Worker
from tests.dashboard import cast

pytestmark = pytest.mark.django_db
HTML = {"Accept": "text/html"}


@pytest.fixture(autouse=True)
def closed(settings):
    settings.SANDBOX = False


def a_paying_client(settings, address: str, user):
    """Outside the sandbox nobody sets a balance, so the tests' clients are made inside it."""
    settings.SANDBOX = True
    try:
        return cast.a_client(address, user)
    finally:
        settings.SANDBOX = False


def a_staked_worker(settings, name: str, user=None):
    settings.SANDBOX = True
    try:
        return cast.a_worker(name, user)
    finally:
        settings.SANDBOX = False


@pytest.mark.parametrize("path", ["/", "/dashboard/", "/dashboard/workers/w/", "/dashboard/jobs/"])
def test_pages_need_a_log_in(client, path):
    response = client.get(path, headers=HTML)
    assert response.status_code == 302
    assert response.headers["Location"].startswith("/login/?next=/")


def test_a_client_who_is_no_operator_can_log_in(client):
    cast.alice()
    form = {"login": "alice", "password": "correct horse battery", "next": "/dashboard/"}
    assert client.post("/login/", form).headers["Location"] == "/dashboard/"
    html = client.get("/dashboard/", headers=HTML).content.decode()
    assert "Log out" in html and "Sandbox." not in html and "/admin/" not in html


def test_alice_sees_her_own_clients_and_jobs_and_not_bobs(client, settings):
    alice, bob = cast.alice(), cast.bob()
    hers = cast.a_job(a_paying_client(settings, "alices_lab", alice))
    his = cast.a_job(a_paying_client(settings, "bobs_lab", bob))
    client.force_login(alice)
    html = client.get("/dashboard/", headers=HTML).content.decode()
    assert "alices_lab" in html and str(hers.pk) in html
    assert "bobs_lab" not in html and str(his.pk) not in html
    assert client.get(f"/dashboard/jobs/{hers.pk}/", headers=HTML).status_code == 200
    assert client.get(f"/dashboard/jobs/{his.pk}/", headers=HTML).status_code == 404


def test_the_operator_sees_all_jobs(client, settings):
    job = cast.a_job(a_paying_client(settings, "bobs_lab", cast.bob()))
    client.force_login(cast.olga())
    assert str(job.pk) in client.get("/dashboard/", headers=HTML).content.decode()
    assert client.get(f"/dashboard/jobs/{job.pk}/", headers=HTML).status_code == 200


def test_a_workers_money_and_work_are_its_owners_to_see(client, settings):
    alice, bob = cast.alice(), cast.bob()
    a_staked_worker(settings, "bobs_gpu", bob)
    job = cast.a_job(a_paying_client(settings, "olgas_lab", cast.olga()), "computing")
    client.force_login(alice)
    html = client.get("/dashboard/workers/bobs_gpu/", headers=HTML).content.decode()
    assert "RTX 4090" in html and "Stake" not in html and str(job.pk)[:8] not in html
    client.force_login(bob)
    html = client.get("/dashboard/workers/bobs_gpu/", headers=HTML).content.decode()
    assert "150 tokens" in html and str(job.pk)[:8] in html
    assert f"/dashboard/jobs/{job.pk}/" not in html  # the job itself is its client's


def test_bob_cannot_cancel_alices_job_nor_spend_her_tokens(client, settings):
    job = cast.a_job(a_paying_client(settings, "alices_lab", cast.alice()))
    client.force_login(cast.bob())
    assert client.post(f"/dashboard/jobs/{job.pk}/cancel/", headers=HTML).status_code == 404
    form = {"job-client_address": "alices_lab", "job-model_type": "pca_analysis", "job-reward": "5"}
    response = client.post("/dashboard/jobs/", form, headers=HTML)
    assert response.status_code == 404
    assert "There is no client alices_lab" in response.content.decode()
    job.refresh_from_db()
    assert job.state == "pending"


@pytest.mark.parametrize("verb", ["start", "stop", "trigger"])
def test_network_control_is_the_operators(client, verb):
    client.force_login(cast.bob())
    assert "Trigger cycle" not in client.get("/dashboard/", headers=HTML).content.decode()
    assert client.post(f"/dashboard/network/{verb}/", headers=HTML).status_code == 403
    assert Network.objects.get().coordination_active
    client.force_login(cast.olga())
    assert client.post(f"/dashboard/network/{verb}/", headers=HTML).status_code == 302


def test_a_client_registers_without_money(client):
    client.force_login(cast.alice())
    form = {"client-client_address": "alices_lab", "client-initial_balance": "1000000"}
    client.post("/dashboard/clients/", form, headers=HTML)
    html = client.get("/dashboard/", headers=HTML).content.decode()
    assert "Initial balance" not in html
    assert 'data-client="alices_lab"' in html
    assert 'class="amount">0</td>' in html


def test_a_workers_enrolment_key_is_shown_once_and_kept_by_nobody(client, settings):
    alice = cast.alice()
    a_staked_worker(settings, "first", alice)
    wallet = Contributor.objects.get(user=alice).wallet
    assert wallet.balance == 100_000_000  # what the sandbox gives beside the stake
    client.force_login(alice)
    form = {"worker-worker_id": "second", "worker-gpu_type": "A100", "worker-stake_amount": "100"}
    response = client.post("/dashboard/workers/", form, headers=HTML)
    html = response.content.decode()
    assert "COMPUTENET_KEY" in html and "no-store" in response.headers["Cache-Control"]
    assert Worker.objects.get(name="second").contributor.user == alice
    wallet.refresh_from_db()
    assert wallet.balance == 0


def test_a_stake_that_the_wallet_does_not_hold_is_refused_in_a_sentence(client):
    client.force_login(cast.alice())
    form = {"worker-worker_id": "w", "worker-gpu_type": "A100", "worker-stake_amount": "100"}
    response = client.post("/dashboard/workers/", form, headers=HTML)
    assert response.status_code == 400
    assert "alice has 0 tokens" in response.content.decode()
