"""Adding a machine: its key is shown once, and the page follows it to its first job."""

from datetime import timedelta

import pytest

from marketplace.dashboard import machines
from marketplace.models import Account, EnrolmentKey, Worker, database_now
from tests.api.machine import ENROLMENT
from tests.dashboard import cast

pytestmark = pytest.mark.django_db
PAGE = "/dashboard/machines/"
FORM = {"worker-worker_id": "attic", "worker-gpu_type": "RTX 4090", "worker-stake_amount": "150"}


def text(response) -> str:
    return response.content.decode()


def states(name: str) -> list[str]:
    return [step.state for step in machines.steps(Worker.objects.get(name=name), online=True)]


def test_a_machine_is_followed_from_its_key_to_its_first_job(client):
    html = text(client.post(PAGE, FORM))
    key = html.split('id="key" class="code" readonly value="')[1].split('"')[0]
    assert f"COMPUTENET_KEY={key}" in html and key not in text(client.get(PAGE))
    assert states("attic") == ["done", "now", "later", "later", "later"]
    body = ENROLMENT | {"enrolment_key": key}
    assert client.post("/worker/enrol", body, content_type="application/json").status_code == 200
    assert states("attic") == ["done", "done", "done", "now", "later"]
    Worker.objects.update(measured_rate=1.5)
    Worker.objects.update(jobs_completed=1)
    assert states("attic") == ["done"] * 5
    Worker.objects.update(claim_doubted=True)
    assert "Benchmark doubted" in text(client.get(PAGE))


def test_what_cannot_be_registered_says_why(client):
    answer = client.post(PAGE, {**FORM, "worker-stake_amount": "1"})
    assert answer.status_code == 400 and "at least 100" in text(answer) and not Worker.objects.exists()


def test_another_key_is_for_ones_own_machines(client, settings):
    alice, bob = cast.alice(), cast.bob()
    cast.a_worker("her_gpu", alice)
    settings.SANDBOX = False
    client.force_login(bob)
    assert client.post(f"{PAGE}her_gpu/key/").status_code == 404
    assert "her_gpu" not in text(client.get(PAGE))
    client.force_login(alice)
    before = EnrolmentKey.objects.count()
    assert "Enrolment key" in text(client.post(f"{PAGE}her_gpu/key/"))
    assert EnrolmentKey.objects.count() == before + 1


def test_who_only_submits_adds_no_machine(client, settings):
    settings.SANDBOX = False
    client.force_login(cast.a_user("clara", roles=("client",)))
    assert client.get(PAGE).status_code == 403
    assert client.post(PAGE, FORM).status_code == 403 and not Account.objects.filter(name="attic").exists()


def test_the_unit_is_the_one_that_the_project_ships(client):
    answer = client.get(f"{PAGE}computenet-worker.service")
    unit = text(answer)
    assert "attachment" in answer.headers["Content-Disposition"] and unit == machines.UNIT.read_text()
    for line in ("NoNewPrivileges=yes", "ProtectSystem=strict", "DynamicUser=yes", "celery -A workers worker"):
        assert line in unit


def test_a_silent_machine_is_told_from_one_that_is_heard(client):
    cast.a_worker("rig")
    assert "heard now" in text(client.get(PAGE))
    Worker.objects.update(last_heartbeat_at=database_now() - timedelta(minutes=1))
    assert "silent now" in text(client.get(PAGE))
