"""What pages and the admin show of stakes, reputation and contests, and what their forms do."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from marketplace.actions.minting import mint
from marketplace.models import Contest, Event, Unbonding, Worker
from tests import factories as make
from tests.dashboard import cast

pytestmark = pytest.mark.django_db
PAGE = "/dashboard/workers/worker_1/"


def body(client, path: str = PAGE) -> str:
    response = client.get(path, headers={"Accept": "text/html"})
    assert response.status_code == 200
    return response.content.decode()


def post(client, verb: str, **data: object) -> str:
    response = client.post(f"{PAGE}{verb}/", data, follow=True, headers={"Accept": "text/html"})
    assert response.status_code == 200
    return response.content.decode().replace("&#x27;", "'")


def a_rejection():
    cast.a_worker()
    job = cast.a_rejected_job(cast.a_client())
    return job.assignments.get()


def test_a_job_page_shows_the_receipt_in_words(client):
    cast.a_worker()
    job = cast.a_job(cast.a_client(), "verified")
    html = body(client, f"/dashboard/jobs/{job.pk}/")
    verdict = job.assignments.get().verdict
    assert "% of the 10 ms of computing" in html
    for text in (verdict.seed, job.dataset.matrix_sha256, verdict.assignment.result.sha256, f"/job/{job.pk}/receipt"):
        assert text in html


def test_a_worker_page_shows_stake_loan_unbonding_and_every_change_of_reputation(client):
    a_rejection()
    make.lend(Worker.objects.get(), 30)
    post(client, "unstake", amount="35")
    html = body(client)
    assert "<dd>100 tokens</dd>" in html and "35 tokens, which a slash still reaches" in html
    assert "30 tokens, paid back" in html
    assert "100 → 90" in html and "It cost 15 tokens of stake." in html


def test_stake_is_topped_up_and_taken_out_by_form(client):
    cast.a_worker()
    assert "worker_1 has 160.5 tokens at stake now." in post(client, "stake", amount="10.5")
    assert "60 tokens on the way out" in post(client, "unstake", amount="60")
    assert Unbonding.objects.get().amount == 60_000_000


@pytest.mark.parametrize(
    ("verb", "amount", "sentence"),
    [
        ("stake", "101", "worker_1 has 100 tokens"),
        ("stake", "", "required"),
        ("stake", "NaN", "Enter a number."),
        ("unstake", "60", "Leave at least 100"),
        ("unstake", "-1", "amount must be"),
    ],
)
def test_a_refusal_is_a_sentence_on_the_workers_page(client, verb, amount, sentence):
    cast.a_worker()
    assert sentence in post(client, verb, amount=amount)
    assert Worker.objects.get().stake.balance == 150_000_000


def test_a_rejected_answer_is_contested_by_form_once(client):
    wrong = a_rejection()
    html = body(client)
    assert f'value="{wrong.pk}"' in html and f"/assignment/{wrong.pk}/answer" in html
    said = post(client, "contest", assignment=wrong.pk, note="It was right.")
    assert "The rejection is contested; an operator decides." in said
    assert Contest.objects.get().note == "It was right."
    assert f'value="{wrong.pk}"' not in said and 'data-state="open"' in said
    assert "contested already" in post(client, "contest", assignment=wrong.pk, note="Again.")


def test_others_neither_see_nor_change_a_workers_stake(client, settings):
    alice, eve = cast.alice(), cast.bob()
    cast.a_worker(user=alice)
    settings.SANDBOX = False
    client.force_login(eve)
    html = body(client)
    assert "Reputation" in html and "Top up" not in html and "On its way out" not in html
    for verb in ("stake", "unstake"):
        client.post(f"{PAGE}{verb}/", {"amount": "1"})
    assert Worker.objects.get().stake.balance == 150_000_000


def test_a_worker_page_takes_as_many_queries_for_many_rejections_as_for_one(client):
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            body(client)
        return len(captured)

    a_rejection()
    few = queries()
    for _ in range(3):
        cast.a_rejected_job(cast.clients.Client.objects.get())
    post(client, "unstake", amount="1")
    assert queries() == few < 20


def test_an_operator_decides_contests_in_the_admin_and_it_is_written_down(client):
    mint(amount=100, reason="to bear mistakes", actor="olga")
    wrong = a_rejection()
    post(client, "contest", assignment=wrong.pk, note="It was right.")
    client.force_login(cast.olga())
    contest = Contest.objects.get()
    page = client.get(reverse("admin:marketplace_contest_change", args=[contest.pk])).content.decode()
    assert f"manage.py recheck {wrong.pk}" in page and "It was right." in page
    changelist = reverse("admin:marketplace_contest_changelist")
    form = {"action": "overturn", "_selected_action": [str(contest.pk)]}
    assert "1 rejection(s) overturned." in client.post(changelist, form, follow=True).content.decode()
    assert Worker.objects.get().stake.balance == 150_000_000
    assert Event.objects.filter(kind="contest.overturned", actor="olga").count() == 1
    form["action"] = "uphold"
    assert "decided already" in client.post(changelist, form, follow=True).content.decode()


def test_a_treasury_that_cannot_bear_an_overturn_is_told_to_the_operator(client):
    wrong = a_rejection()
    post(client, "contest", assignment=wrong.pk, note="It was right.")
    client.force_login(cast.olga())
    form = {"action": "overturn", "_selected_action": [str(Contest.objects.get().pk)]}
    html = client.post(reverse("admin:marketplace_contest_changelist"), form, follow=True).content.decode()
    assert "treasury has 7.5 tokens" in html
    assert Contest.objects.get().outcome == "open"
