"""Lists: their total, their pages, their filters, and how many queries one costs."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client

from tests.api.calls import ROWS, post, register_client, register_worker, submit_job, upload

pytestmark = pytest.mark.django_db


def test_count_is_the_total_and_limit_and_offset_choose_a_page(client: Client) -> None:
    for name in ["carol", "alice", "bob"]:
        register_client(client, name)
    page = client.get("/clients?limit=2&offset=1").json()
    assert page["count"] == 3
    assert [each["client_address"] for each in page["clients"]] == ["bob", "carol"]
    beyond = client.get("/clients?offset=7").json()
    assert beyond == {"clients": [], "count": 3}


def test_a_list_holds_a_hundred_where_no_limit_is_named(client: Client) -> None:
    for number in range(101):
        register_client(client, f"client{number:03}")
    assert len(client.get("/clients").json()["clients"]) == 100
    assert len(client.get("/clients?limit=1000").json()["clients"]) == client.get("/clients").json()["count"] == 101


def test_jobs_are_filtered_by_status_and_by_client(client: Client) -> None:
    for name in ["alice", "bob"]:
        register_client(client, name)
    first = submit_job(client).json()["job_id"]
    second = submit_job(client, client_address="bob").json()["job_id"]
    post(client, f"/job/{first}/cancel")

    def ids(query: str) -> list[str]:
        answer = client.get(f"/jobs?{query}").json()
        assert answer["count"] == len(answer["jobs"])
        return [job["job_id"] for job in answer["jobs"]]

    assert ids("") == [second, first]  # newest first
    assert ids("status=pending") == [second]
    assert ids("status=cancelled") == [first]
    assert ids("client=alice") == [first]
    assert ids("client=alice&status=pending") == []
    assert ids("client=nobody") == []


def test_pending_jobs_come_oldest_first(client: Client) -> None:
    register_client(client)
    ids = [submit_job(client).json()["job_id"] for _ in range(3)]
    assert [job["job_id"] for job in client.get("/jobs/pending").json()["jobs"]] == ids


def fill(client: Client, count: int) -> None:
    for number in range(count):
        register_client(client, f"client{number}")
        register_worker(client, worker_id=f"worker{number}")
        submit_job(client, client_address=f"client{number}", data=[*ROWS, [1.0, 1.0, float(number)]])
        upload(client, f"a,b\n1,2\n3,{number}\n".encode())


@pytest.mark.parametrize("path", ["/jobs", "/jobs/pending", "/workers", "/clients", "/datasets"])
def test_a_list_takes_two_queries_however_long_it_is(client: Client, django_assert_num_queries: Any, path: str) -> None:
    fill(client, 7)
    asks_the_time = path == "/workers" and connection.vendor == "postgresql"  # on SQLite that is no query
    with django_assert_num_queries(3 if asks_the_time else 2):
        assert client.get(path).json()["count"] >= 7
