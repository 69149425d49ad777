"""A call with an `Idempotency-Key` has one effect, and one answer, however often it is sent and from how many sides."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.test import Client

from marketplace.actions import coordination, once
from marketplace.domain.errors import Conflict, KeyReused, Refused
from marketplace.models import Account, EnrolmentKey, Event, IdempotencyKey, Job, Transfer
from tests.api.calls import WORKER, is_refused, post, register_client, row_counts, submit_job
from tests.dashboard import cast

KEYS = int(os.environ.get("COMPUTENET_KEYS", "60"))  # of the race; 2,000 take some minutes
TRANSFER = {"from": "alice", "to": "bob", "amount": 1}


def keyed(http: Client, path: str, body: Any, key: str = "k") -> Any:
    return post(http, path, body, headers={"Idempotency-Key": key})


@pytest.fixture
def wallets(db: None, client: Client) -> Client:
    register_client(client, "alice")
    register_client(client, "bob")
    return client


CALLS = {
    "/client/register": {"client_address": "carol"},
    "/worker/register": WORKER,
    "/job/submit": {"client_address": "alice", "model_type": "linear_regression", "reward": 50},
    "/token/transfer": TRANSFER,
    "/token/approve": {"owner": "alice", "spender": "bob", "amount": 5},
    "/network/coordination/stop": {},
    "/worker/gpu/stake": {"amount": 10},
    "/worker/gpu/unstake": {"amount": 10},
}


@pytest.mark.parametrize("path", CALLS)
def test_sent_again_it_does_nothing_more_and_answers_the_same(wallets: Client, path: str) -> None:
    post(wallets, "/worker/register", WORKER | {"worker_id": "gpu", "stake_amount": 150})
    first = keyed(wallets, path, CALLS[path])
    assert first.status_code == 200 and "Idempotency-Replayed" not in first.headers, first.content
    after = row_counts()
    again = keyed(wallets, path, dict(reversed(CALLS[path].items())))  # the same, in another order
    assert (again.status_code, again.json()) == (200, first.json())
    assert again.headers["Idempotency-Replayed"] == "true"
    assert row_counts() == after


def test_another_body_or_another_call_under_the_same_key_is_refused(wallets: Client) -> None:
    keyed(wallets, "/token/transfer", TRANSFER)
    before = row_counts()
    assert "another request" in is_refused(keyed(wallets, "/token/transfer", TRANSFER | {"amount": 2}), 422)
    is_refused(keyed(wallets, "/token/transfer-from", TRANSFER | {"spender": "bob"}), 422)
    assert row_counts() == before


def test_a_refused_request_leaves_its_key_free(wallets: Client) -> None:
    before = row_counts()
    is_refused(keyed(wallets, "/token/transfer", TRANSFER | {"amount": 5000}))
    is_refused(keyed(wallets, "/token/transfer", TRANSFER | {"nonsense": 1}))
    assert row_counts() == before
    assert keyed(wallets, "/token/transfer", TRANSFER).status_code == 200


def test_keys_are_a_users_own(wallets: Client) -> None:
    assert keyed(wallets, "/token/transfer", TRANSFER).json()["balance"] == 999
    alice = Client()
    alice.force_login(cast.alice(), backend="django.contrib.auth.backends.ModelBackend")
    assert keyed(alice, "/token/transfer", TRANSFER).json()["balance"] == 998
    assert keyed(alice, "/token/transfer", TRANSFER).json()["balance"] == 998


@pytest.mark.parametrize("key", ["", "k" * 101, "a\tb"])
def test_a_key_that_cannot_be_one_is_refused_and_changes_nothing(wallets: Client, key: str) -> None:
    before = row_counts()
    is_refused(keyed(wallets, "/token/transfer", TRANSFER, key))
    assert row_counts() == before


def test_a_secret_is_answered_again_and_not_kept_as_it_is(wallets: Client, settings: Any) -> None:
    given = keyed(wallets, "/worker/register", WORKER).json()["enrolment_key"]
    assert keyed(wallets, "/worker/register", WORKER).json()["enrolment_key"] == given
    kept = bytes(IdempotencyKey.objects.get().answer)
    assert kept and given.encode() not in kept and b"enrolment" not in kept
    assert EnrolmentKey.objects.count() == 1
    settings.SECRET_KEY = "another " * 10
    assert "look before" in is_refused(keyed(wallets, "/worker/register", WORKER), 409)


def test_keys_are_forgotten_after_their_time(wallets: Client, settings: Any) -> None:
    keyed(wallets, "/token/transfer", TRANSFER)
    coordination.run_cycle()
    assert IdempotencyKey.objects.count() == 1
    settings.POLICY = replace(settings.POLICY, idempotency_key_seconds=0.001)
    time.sleep(0.01)
    coordination.run_cycle()
    assert IdempotencyKey.objects.count() == 0
    assert keyed(wallets, "/token/transfer", TRANSFER).json()["balance"] == 998


def test_the_schema_says_of_every_call_that_changes_something_whether_it_takes_a_key(client: Client) -> None:
    paths = client.get("/schema/", headers={"Accept": "application/vnd.oai.openapi+json"}).json()["paths"]
    without = set()
    for operations in paths.values():
        for method, operation in operations.items():
            takes = any(each["name"] == "Idempotency-Key" for each in operation.get("parameters", ()))
            assert not takes or "422" in operation["responses"]
            if method != "get" and not takes:
                without.add(operation["operationId"])
    machines = {"machine_enrol", "machine_heartbeat", "assignment_start", "assignment_result", "assignment_failure"}
    machines |= {"assignments_start", "assignments_results"}
    challenges = {"challenge_start", "challenge_commit", "challenge_open"}
    by_content = {"dataset_upload", "upload_create", "upload_part", "upload_finish"}
    # A machine's calls are fenced; a dataset is named by its content; a quote and a prediction change nothing. What
    # takes several transactions, and does no harm twice, is not made one: it would hold the locks of all of them.
    harmless = {"quote", "job_predict", "coordination_trigger", "worker_pause"}
    assert without == machines | challenges | by_content | harmless


def at_once(count: int, act: Any) -> list[Any]:
    """`act` of each number, on three threads that begin together."""
    barrier = threading.Barrier(3)

    def one(_: int) -> list[Any]:
        try:
            found = []
            for index in range(count):
                barrier.wait(timeout=60)
                found.append(act(index))
            return found
        finally:
            connections.close_all()

    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(one, range(3)))


def test_three_requests_at_once_for_each_key_have_one_effect_and_one_answer(committed_db: str) -> None:
    for name in ("alice", "bob"):
        register_client(Client(), name, initial_balance=10_000_000)

    def send(index: int) -> tuple[int, bytes]:
        answer = keyed(Client(), "/token/transfer", TRANSFER | {"amount": index + 1}, f"key {index}")
        return answer.status_code, answer.content

    answers = at_once(KEYS, send)
    assert answers[0] == answers[1] == answers[2] and {status for status, _ in answers[0]} == {200}
    moved = Transfer.objects.filter(code="transfer").values_list("amount", flat=True)
    assert sorted(moved) == [(index + 1) * 1_000_000 for index in range(KEYS)]
    assert Account.objects.get(kind="wallet", name="alice").balance == 1_000_000 * (
        10_000_000 - sum(range(1, KEYS + 1))
    )
    assert IdempotencyKey.objects.count() == KEYS


def test_one_key_sent_many_times_at_once_is_one_job(committed_db: str) -> None:
    register_client(Client())

    def send(_: int) -> str:
        http = Client()
        http.defaults["HTTP_IDEMPOTENCY_KEY"] = "k"
        return str(submit_job(http).json()["job_id"])

    answers = at_once(4, send)
    assert len({job for found in answers for job in found}) == 1
    assert Job.objects.count() == 1


def test_who_comes_while_the_first_is_answered_waits_for_it_and_is_told_where_that_takes_long(
    committed_db: str, monkeypatch: Any
) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("On SQLite a writer waits for every other one.")
    monkeypatch.setattr(once, "WAIT_SECONDS", 0.2)
    inside, go = threading.Event(), threading.Event()

    def slow() -> bytes:
        inside.set()
        assert go.wait(timeout=30)
        return b'"first"'

    def first() -> Any:
        try:
            return once.once(user=None, key="k", request=b"r", act=slow)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(first)
        try:
            assert inside.wait(timeout=30)
            with pytest.raises(Conflict, match="still being answered"):
                once.once(user=None, key="k", request=b"r", act=lambda: b'"second"')
        finally:
            go.set()
        assert running.result() == (b'"first"', False)
    assert once.once(user=None, key="k", request=b"r", act=lambda: b'"second"') == (b'"first"', True)
    with pytest.raises(KeyReused):
        once.once(user=None, key="k", request=b"other", act=lambda: b'"second"')


@pytest.mark.django_db
def test_an_effect_and_its_key_are_kept_together_or_not_at_all() -> None:
    def act() -> bytes:
        Event.objects.create(kind="x", actor="x")
        raise Refused("No.")

    with pytest.raises(Refused), transaction.atomic():
        once.once(user=None, key="k", request=b"r", act=act)
    assert not Event.objects.filter(kind="x").exists() and not IdempotencyKey.objects.exists()
