"""Ready or not: each thing that the network rests on is asked by itself, and a missing one is named."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.test.utils import CaptureQueriesContext

from marketplace import broker
from marketplace.actions import coordination
from marketplace.models import Network, database_now, guards

pytestmark = pytest.mark.django_db


def asked(client: Client, status: int) -> dict[str, Any]:
    answer = client.get("/health/ready")
    assert answer.status_code == status, answer.content
    found: dict[str, Any] = answer.json()
    assert found["ready"] is (status == 200)
    return found["checks"]


def missing(client: Client) -> str:
    """The one thing that is not there."""
    wrong = [name for name, check in asked(client, 503).items() if not check["ok"]]
    assert len(wrong) == 1, wrong
    return wrong[0]


@pytest.fixture(autouse=True)
def cycle(db: None) -> None:
    coordination.run_cycle()


def test_a_network_at_work_is_ready(client: Client) -> None:
    assert set(asked(client, 200)) == {"database", "migrations", "guards", "beat", "redis"}


def test_without_cycles_it_is_not_ready(client: Client) -> None:
    Network.objects.update(last_cycle_at=database_now() - timedelta(seconds=21))
    assert missing(client) == "beat"
    assert client.get("/health").status_code == 200  # it lives all the same
    Network.objects.update(last_cycle_at=None)
    assert missing(client) == "beat"


def test_without_redis_it_is_not_ready(client: Client, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    broker.connection.cache_clear()
    try:
        assert missing(client) == "redis"
    finally:
        broker.connection.cache_clear()


def test_without_a_guard_it_is_not_ready(client: Client) -> None:
    guards.drop()
    assert missing(client) == "guards"
    guards.create()
    asked(client, 200)


def test_with_a_migration_due_it_is_not_ready_and_one_from_the_future_does_no_harm(client: Client) -> None:
    recorder = MigrationRecorder(connection)
    recorder.record_applied("marketplace", "9999_of_a_newer_version")
    asked(client, 200)
    recorder.record_unapplied("marketplace", "0007_sealed_log")
    assert missing(client) == "migrations"
    assert "marketplace.0007_sealed_log" in asked(client, 503)["migrations"]["detail"]


def test_a_database_that_is_away_is_said_and_no_error(client: Client, monkeypatch: Any) -> None:
    def refuse(*_: Any) -> None:
        raise OperationalError("no route to host secret-host")

    with monkeypatch.context() as away:
        away.setattr(connection, "cursor", refuse)
        answer = client.get("/health/ready")
    checks = answer.json()["checks"]
    assert answer.status_code == 503 and not any(checks[name]["ok"] for name in checks if name != "redis")
    assert checks["redis"]["ok"] and "secret-host" not in answer.content.decode()


def test_asking_costs_few_statements(client: Client) -> None:
    with CaptureQueriesContext(connection) as queries:
        asked(client, 200)
    assert len(queries) <= 8, [query["sql"] for query in queries]
