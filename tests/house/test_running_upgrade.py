"""Migrating under a running network: requests and cycles wait and go on, and no token moves unguarded."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.management import CommandError, call_command, execute_from_command_line
from django.db import connection, connections, migrations, transaction
from django.test import Client

from marketplace.actions import coordination
from marketplace.management.commands import migrate
from marketplace.models import Transfer, guards
from tests.api.calls import post, register_client
from tests.house.more_migrations import x_expand


@pytest.fixture
def one_more(settings: Any) -> None:
    settings.MIGRATION_MODULES = {"marketplace": "tests.house.more_migrations"}


def columns() -> set[str]:
    with connection.cursor() as cursor:
        return {each.name for each in connection.introspection.get_table_description(cursor, "marketplace_job")}


def test_requests_and_cycles_go_on_while_a_column_and_an_index_are_added(committed_db: str, one_more: None) -> None:
    for name in ("alice", "bob"):
        register_client(Client(), name, initial_balance=1_000_000)
    ended, sent = threading.Event(), []

    def transfers() -> None:
        http = Client()
        while not ended.is_set():
            answer = post(http, "/token/transfer", {"from": "alice", "to": "bob", "amount": 1})
            sent.append((answer.status_code, time.monotonic()))

    def cycles() -> None:
        while not ended.is_set():
            coordination.run_cycle()

    def until_ended(act: Any) -> None:
        try:
            act()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(until_ended, act) for act in (transfers, transfers, cycles)]
        try:
            time.sleep(0.3)
            call_command("migrate", verbosity=0)
            migrated_at = time.monotonic()
            time.sleep(0.5)
        finally:
            ended.set()
        for each in running:
            each.result()
    assert {status for status, _ in sent} == {200}
    assert sum(at > migrated_at for _, at in sent) > 0
    assert Transfer.objects.filter(code="transfer").count() == len(sent)  # the fixture replays the ledger
    assert "expanded" in columns() and not guards.differences()


def test_a_migration_that_fails_leaves_guards_and_tables_as_they_were(
    committed_db: str, one_more: None, monkeypatch: Any
) -> None:
    def stumble(apps: Any, editor: Any) -> None:
        raise RuntimeError("half way")

    more = [*x_expand.Migration.operations, migrations.RunPython(stumble)]
    monkeypatch.setattr("tests.house.more_migrations.x_expand.Migration.operations", more)
    with pytest.raises(RuntimeError, match="half way"):
        call_command("migrate", verbosity=0)
    assert "expanded" not in columns() and not guards.differences()


def test_a_migration_that_needs_no_transaction_is_refused(committed_db: str, one_more: None, monkeypatch: Any) -> None:
    monkeypatch.setattr("tests.house.more_migrations.x_expand.Migration.atomic", False)
    with pytest.raises(CommandError, match="unguarded"):
        call_command("migrate", verbosity=0)
    assert not guards.differences()


def test_a_table_that_somebody_holds_is_waited_for_and_then_said(
    committed_db: str, one_more: None, monkeypatch: Any
) -> None:
    if connection.vendor == "sqlite":
        return  # there is one writer, and it waits for the other as every transaction does
    monkeypatch.setattr(migrate, "TRIES", 2)
    holding, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                Transfer.objects.count()
                holding.set()
                assert let_go.wait(timeout=60)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(hold)
        try:
            assert holding.wait(timeout=30)
            with pytest.raises(CommandError, match="holds a table"):
                call_command("migrate", verbosity=0)
        finally:
            let_go.set()
        held.result()
    assert not guards.differences()


def test_the_command_line_brings_guards_that_differ_and_does_not_refuse_for_them(committed_db: str) -> None:
    """Django asks the database's own checks before it begins, which say to run what was just run."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER cn_event_delete" + " ON marketplace_event" * (connection.vendor == "postgresql"))
    assert guards.differences()
    execute_from_command_line(["manage.py", "migrate", "-v0"])
    assert not guards.differences()
