"""The admin: every row can be read there, and what money depends on cannot be written."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from marketplace.actions import minting
from marketplace.models import Account, Client, Contributor, Event, Job, Result, Transfer, Verdict, Worker
from tests.dashboard import cast

pytestmark = pytest.mark.django_db
MODELS = list(apps.get_app_config("marketplace").get_models())


@pytest.fixture
def olga(client):
    client.force_login(cast.olga())
    return client


def url(model, page: str, *args) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def test_every_model_has_its_pages(olga):
    cast.jobs_in_every_state(cast.a_client())
    for model in MODELS:
        assert admin.site.is_registered(model)
        assert olga.get(url(model, "changelist")).status_code == 200
        if row := model.objects.first():
            assert olga.get(url(model, "change", row.pk)).status_code == 200
        if admin.site.get_model_admin(model).search_fields:
            assert olga.get(url(model, "changelist"), {"q": "alice"}).status_code == 200


def test_nobody_adds_changes_or_deletes_a_row_by_hand(olga):
    cast.a_worker()
    cast.a_job(cast.a_client(), "verified")
    for model in MODELS:
        assert olga.get(url(model, "add")).status_code == 403
        row = model.objects.first()
        if row is None:
            continue
        before = model.objects.values().get(pk=row.pk)
        form = {field.name: "1" for field in model._meta.fields}
        assert olga.post(url(model, "change", row.pk), form).status_code == 403
        assert olga.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403
        deletion = {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"}
        olga.post(url(model, "changelist"), deletion)
        assert model.objects.values().get(pk=row.pk) == before


def test_amounts_are_in_tokens(olga):
    cast.a_worker()
    cast.a_job(cast.a_client(balance=1234.5), "verified")
    html = olga.get(url(Account, "changelist")).content.decode()
    assert "1,184.5" in html and "1184500000" not in html
    html = olga.get(url(Transfer, "changelist")).content.decode()
    assert "1,234.5" in html and "capture" in html


def test_secrets_digests_are_not_shown(olga):
    worker = cast.a_worker(secret_sha256="a" * 64, broker_secret_sha256="b" * 64)
    html = olga.get(url(Worker, "change", worker.pk)).content.decode()
    assert "a" * 64 not in html and "b" * 64 not in html


def test_operator_suspends_and_reinstates_workers_and_it_is_written_down(olga):
    worker = cast.a_worker(enrolled_at=None)
    for action, active, kind in (("suspend", False, "worker.suspended"), ("reinstate", True, "worker.reinstated")):
        olga.post(url(Worker, "changelist"), {"action": action, "_selected_action": [str(worker.pk)]})
        worker.refresh_from_db()
        assert worker.is_active is active
        assert Event.objects.filter(kind=kind, actor="olga", worker=worker).count() == 1


def test_operator_cancels_jobs_and_is_told_which_could_not_be(olga):
    client = cast.a_client()
    done, waiting = cast.a_job(client, "failed"), cast.a_job(client)
    form = {"action": "cancel", "_selected_action": [str(done.pk), str(waiting.pk)]}
    html = olga.post(url(Job, "changelist"), form, follow=True).content.decode()
    assert "1 job(s) cancelled." in html and "cannot become cancelled" in html
    waiting.refresh_from_db()
    assert waiting.state == "cancelled"
    assert Client.objects.get().wallet.balance == 1_000_000_000


def test_who_may_only_look_gets_no_actions(client):
    user = cast.a_user("vera", is_staff=True)
    user.user_permissions.set(user.user_permissions.model.objects.filter(codename__in=["view_job", "view_worker"]))
    job = cast.a_job(cast.a_client())
    client.force_login(user)
    assert client.get(url(Job, "changelist")).status_code == 200
    client.post(url(Job, "changelist"), {"action": "cancel", "_selected_action": [str(job.pk)]})
    job.refresh_from_db()
    assert job.state == "pending"
    assert client.get(url(Transfer, "changelist")).status_code == 403


@pytest.mark.parametrize("model", [Job, Worker, Transfer, Event, Result, Verdict], ids=lambda model: model.__name__)
def test_lists_take_as_many_queries_for_many_rows_as_for_few(olga, model):
    payer = cast.a_client()
    counts = []
    for index in range(3):
        cast.a_worker(f"worker_{index}")
        cast.a_job(payer, "verified")
        with CaptureQueriesContext(connection) as captured:
            assert olga.get(url(model, "changelist")).status_code == 200
        counts.append(len(captured))
    assert counts[1] == counts[2] < 20


def test_operator_grants_tokens_to_clients_and_it_is_logged(olga):
    minting.mint(amount=100, reason="for grants", actor="olga")
    client = cast.a_client()
    chosen = {"action": "grant", "_selected_action": [str(client.pk)]}
    olga.post(url(Client, "changelist"), {**chosen, "amount": "30"})
    client.wallet.refresh_from_db()
    assert client.wallet.balance == 1_030_000_000
    assert LogEntry.objects.filter(object_id=str(client.pk), user__username="olga").count() == 1
    html = olga.post(url(Client, "changelist"), chosen, follow=True).content.decode()
    client.wallet.refresh_from_db()
    assert "must be a number of tokens" in html and client.wallet.balance == 1_030_000_000


def test_operator_suspends_and_reinstates_a_contributor_with_all_its_workers(olga):
    worker = cast.a_worker(enrolled_at=None)
    for action, active in (("suspend", False), ("reinstate", True)):
        chosen = {"action": action, "_selected_action": [str(worker.contributor_id)]}
        olga.post(url(Contributor, "changelist"), chosen)
        worker.refresh_from_db()
        assert worker.is_active is active
    assert LogEntry.objects.filter(user__username="olga").count() == 2
