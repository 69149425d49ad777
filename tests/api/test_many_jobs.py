"""`POST /jobs`: many jobs in one request, all of them or none."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from marketplace.models import Job, Transfer
from tests.api.calls import ROWS, is_refused, post, register_client, row_counts, submit_job

pytestmark = pytest.mark.django_db

STATEMENTS = 20  # for any number of jobs of one client and one class, on PostgreSQL; fewer on SQLite


@pytest.fixture
def dataset(client: Client) -> str:
    register_client(client)
    return Job.objects.get(pk=submit_job(client).json()["job_id"]).dataset_id


def job(name: str, **more: Any) -> dict[str, Any]:
    return {"client_address": "alice", "model_type": "linear_regression", "reward": 2, "dataset": name} | more


def test_all_jobs_of_a_request_queue_in_its_order_and_hold_their_rewards(client: Client, dataset: str) -> None:
    register_client(client, "bob")
    asked = [job(dataset), job(dataset, client_address="bob", reward=3), job(dataset, model_type="pca_analysis")]
    answer = post(client, "/jobs", {"jobs": asked})
    assert (answer.status_code, answer.json()["status"]) == (200, "pending"), answer.content
    jobs = [Job.objects.select_related("client", "escrow").get(pk=pk) for pk in answer.json()["job_ids"]]
    assert [(each.client.address, each.model_type) for each in jobs] == [
        ("alice", "linear_regression"),
        ("bob", "linear_regression"),
        ("alice", "pca_analysis"),
    ]
    assert [each.escrow.balance for each in jobs] == [2_000_000, 3_000_000, 2_000_000]
    assert jobs[0].virtual_start < jobs[2].virtual_start, "a client's own jobs queue one behind the other"
    assert client.get("/client/alice/balance").json()["balance"] == 1000 - 50 - 4


def test_many_jobs_take_as_many_statements_as_two(client: Client, dataset: str) -> None:
    costs = []
    for count in (2, 30):
        with CaptureQueriesContext(connection) as captured:
            assert post(client, "/jobs", {"jobs": [job(dataset)] * count}).status_code == 200
        costs.append(len(captured))
    assert costs[0] == costs[1] <= STATEMENTS, costs


@pytest.mark.parametrize(
    ("bad", "status", "said"),
    [
        ({"client_address": "nobody"}, 404, "jobs[1]: There is no client nobody"),
        ({"dataset": "0" * 64}, 404, "jobs[1]: There is no dataset"),
        ({"dataset": None}, 400, "jobs[1]: many jobs at once are fitted on datasets"),
        ({"data": ROWS}, 400, "jobs[1]: many jobs at once are fitted on datasets"),
        ({"reward": 0}, 400, "jobs[1]: reward must be"),
        ({"target": "nothing"}, 400, "jobs[1]: There is no column 'nothing'"),
        ({"reward": 2_000}, 400, "alice has"),
        ({"deadline_seconds": -1}, 400, "jobs[1]: deadline_seconds must be"),
    ],
)
def test_one_that_cannot_be_done_keeps_all_back(
    client: Client, dataset: str, bad: dict[str, Any], status: int, said: str
) -> None:
    before = row_counts()
    assert said in is_refused(post(client, "/jobs", {"jobs": [job(dataset), job(dataset, **bad)]}), status)
    assert row_counts() == before


@pytest.mark.parametrize("jobs", [[], "three", None, [[]], [{}], [{"client_address": "alice", "pickle": 1}]])
def test_what_is_no_list_of_jobs_is_refused(client: Client, dataset: str, jobs: Any) -> None:
    before = row_counts()
    is_refused(post(client, "/jobs", {"jobs": jobs}))
    assert row_counts() == before


def test_a_request_holds_500_jobs_at_most(client: Client, dataset: str) -> None:
    is_refused(post(client, "/jobs", {"jobs": [job(dataset)] * 501}))
    assert Job.objects.count() == 1


def test_all_open_jobs_of_a_client_count_against_the_most_that_it_may_have(
    client: Client, dataset: str, settings: Any
) -> None:
    settings.POLICY = settings.POLICY.__class__(open_jobs_per_client=3)
    assert "1 open jobs" in is_refused(post(client, "/jobs", {"jobs": [job(dataset)] * 3}))
    assert post(client, "/jobs", {"jobs": [job(dataset)] * 2}).status_code == 200


def test_the_same_key_makes_the_jobs_once(client: Client, dataset: str) -> None:
    asked, key = {"jobs": [job(dataset)] * 3}, {"Idempotency-Key": "a batch"}
    first = post(client, "/jobs", asked, headers=key)
    again = post(client, "/jobs", asked, headers=key)
    assert again.json() == first.json() and again["Idempotency-Replayed"] == "true"
    assert Transfer.objects.filter(code="hold").count() == 1 + 3
    is_refused(post(client, "/jobs", {"jobs": [job(dataset)]}, headers=key), 422)


def test_requests_that_name_the_same_datasets_in_other_orders_lock_them_in_one(client: Client, dataset: str) -> None:
    """Else two at once could wait for each other, and one would fail."""
    other = Job.objects.get(pk=submit_job(client, data=ROWS[:5]).json()["job_id"]).dataset_id
    assert other != dataset

    def locked(*names: str) -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            assert post(client, "/jobs", {"jobs": [job(each) for each in names]}).status_code == 200
        rights = [each["sql"] for each in captured if 'FROM "marketplace_datasetowner"' in each["sql"]]
        return [name for sql in rights for name in names if name in sql]

    assert locked(dataset, other) == locked(other, dataset) == sorted([dataset, other])
