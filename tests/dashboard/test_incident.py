"""The operator's page for an incident: who may open it, and that each form does its deed."""

import pytest

from marketplace.models import Contributor, Event, HeldVerdict, Network, Reverification, Verdict, Worker
from tests import factories as make
from tests.dashboard import cast

pytestmark = pytest.mark.django_db
PAGE = "/dashboard/incident/"
VERBS = ["freeze", "thaw", "drain", "undrain", "rotate", "reverify", "suspend", "reinstate"]


@pytest.fixture
def olga(client):
    client.force_login(cast.olga())
    return client


def post(client, verb: str, **form: str) -> str:
    return client.post(f"{PAGE}{verb}/", form, follow=True).content.decode()


@pytest.fixture
def closed(settings):
    settings.SANDBOX = False
    return settings


def test_it_is_the_operators_alone(client, closed):
    assert client.get(PAGE).status_code == 302
    client.force_login(cast.bob())
    assert client.get(PAGE).status_code == 403
    for verb in VERBS:
        assert client.post(f"{PAGE}{verb}/", {"all": "yes", "contributor": "bob"}).status_code == 403
    network = Network.objects.get()
    assert network.payouts_frozen_at is None and not network.draining
    assert PAGE not in client.get("/dashboard/").content.decode()
    client.force_login(cast.olga())
    assert client.get(PAGE).status_code == 200
    assert PAGE in client.get("/dashboard/").content.decode()


def test_freezing_and_thawing_is_seen_on_every_page(olga):
    make.make_client(), make.make_worker()
    html = post(olga, "freeze", reason="theft & loss")
    assert "Payouts are frozen." in html and "theft &amp; loss" in html
    assert "Payouts are frozen" in olga.get("/dashboard/").content.decode()
    make.run_to_end(make.make_job())
    assert "1 verdict waits" in olga.get(PAGE).content.decode()
    assert "1 verdict that waited is settled now" in post(olga, "thaw") and HeldVerdict.objects.count() == 1
    assert Event.objects.get(kind="payouts.frozen").actor == "olga"


def test_draining_is_switched_on_and_off(olga):
    assert "nothing new" in post(olga, "drain", reason="upgrade")
    assert Network.objects.get().draining and "drained" in olga.get("/dashboard/").content.decode()
    post(olga, "undrain")
    assert not Network.objects.get().draining


def test_keys_are_shown_once_and_all_has_to_be_said(olga):
    worker = make.make_worker()
    assert "Choose a worker" in post(olga, "rotate")
    assert Worker.objects.get().enrolled_at
    response = olga.post(f"{PAGE}rotate/", {"all": "yes"})
    html = response.content.decode()
    key = html.split("<code>")[-1].split("</code>")[0]
    assert "no-store" in response.headers["Cache-Control"] and key not in olga.get(PAGE).content.decode()
    assert make.enrol(key)["worker_id"] == worker.name


def test_a_contributor_is_suspended_with_all_that_it_touched_on_the_page(olga):
    make.make_client(), make.make_worker()
    job = make.run_to_end(make.make_job())
    html = post(olga, "suspend", contributor="rtx4090", reason="stolen keys")
    assert str(job.pk) in html and job.dataset.sha256 in html and "capture" in html
    assert "1 accepted" in html and "50 tokens earned" in html
    assert not Worker.objects.get().is_active and Contributor.objects.get().suspended_at
    post(olga, "reinstate", contributor="rtx4090")
    assert Worker.objects.get().is_active
    assert "There is no contributor" in post(olga, "suspend", contributor="nobody")
    assert olga.get(PAGE, {"contributor": "nobody"}).status_code == 404
    assert olga.post(f"{PAGE}explode/").status_code == 404


def test_answers_are_put_down_to_be_checked_again(olga):
    make.make_client(), make.make_worker()
    make.run_to_end(make.make_job())
    assert "Checking 1 answer of rtx4090" in post(olga, "reverify", contributor="rtx4090", count="5")
    assert "must be from 1" in post(olga, "reverify", contributor="rtx4090", count="many")
    assert Reverification.objects.get().outcome == "" and Verdict.objects.count() == 1
