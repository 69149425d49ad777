"""A backup of a running network, put back elsewhere by the commands as an operator types them: nothing is missing."""

import hashlib
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.db import connection, connections
from django.test import Client
from psycopg import sql

from marketplace import broker, storage
from marketplace.actions import checkpoints
from tests import factories as make
from tests import postgres
from tests.api.calls import post
from tests.sandbox.running import ROOT

pytestmark = pytest.mark.processes


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, **environment}
    if connection.vendor == "postgresql" and "PATH" not in environment:
        given["PATH"] = f"{postgres.find_programs()}{os.pathsep}{given['PATH']}"
    return subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=ROOT, env=given, capture_output=True, text=True
    )


def empty_database(url: str, folder: Path) -> str:
    if connection.vendor == "sqlite":
        return f"sqlite:///{folder / 'restored.sqlite3'}"
    name = f"restored_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@pytest.fixture
def home(committed_db: str, settings: Any, tmp_path: Path, monkeypatch: Any) -> Path:
    settings.COMPUTENET_HOME = tmp_path / "home"
    monkeypatch.setenv("COMPUTENET_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_network_is_copied_while_it_runs_and_put_back_with_its_files_keys_and_redis_users(
    committed_db: str, home: Path, tmp_path: Path
) -> None:
    make.make_client("alice", balance=1_000_000)
    make.make_client("bob")
    worker = make.make_worker()
    job = make.run_to_end(make.make_job())
    checkpoints.seal_and_sign()
    answer = storage.path("answers", str(job.pk))
    assert job.state == "verified" and answer.is_file()
    ended = threading.Event()

    def goes_on() -> None:
        http = Client()
        try:
            while not ended.is_set():
                post(http, "/token/transfer", {"from": "alice", "to": "bob", "amount": 1})
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(goes_on)
        try:
            done = manage("backup", str(tmp_path / "copy"))
        finally:
            ended.set()
        running.result()
    assert done.returncode == 0, done.stderr
    assert {oct(path.stat().st_mode & 0o777) for path in (tmp_path / "copy").iterdir()} == {"0o600"}

    elsewhere = {"DATABASE_URL": empty_database(committed_db, tmp_path), "COMPUTENET_HOME": str(tmp_path / "new")}
    broker.connection().execute_command("ACL", "DELUSER", broker.username(worker))
    done = manage("restore", str(tmp_path / "copy"), **elsewhere)
    assert done.returncode == 0, done.stderr
    assert "The books add up" in done.stdout
    assert broker.connection().execute_command("ACL", "GETUSER", broker.username(worker)) is not None
    assert manage("audit_ledger", **elsewhere).returncode == 0
    restored = tmp_path / "new" / answer.relative_to(home)
    assert hashlib.sha256(restored.read_bytes()).digest() == hashlib.sha256(answer.read_bytes()).digest()
    assert (tmp_path / "new" / "log_key").read_text() == (home / "log_key").read_text()
    assert oct((tmp_path / "new" / "log_key").stat().st_mode & 0o777) == "0o600"
    script = "from marketplace.models import *; print(Job.objects.get().state, Worker.objects.get().name)"
    assert manage("shell", "-c", script, **elsewhere).stdout.split()[-2:] == ["verified", worker.name]
    # Nothing is put over what is there.
    again = manage("restore", str(tmp_path / "copy"), **elsewhere)
    assert again.returncode != 0 and "not empty" in again.stderr
    assert "not empty" in manage("backup", str(tmp_path / "copy")).stderr


def test_a_backup_that_was_broken_off_is_not_put_back(committed_db: str, home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    for name in ("database.sqlite3", "database.dump", "files.tar", "unfinished"):
        (folder / name).touch()
    done = manage("restore", str(folder), COMPUTENET_HOME=str(tmp_path / "new"))
    assert done.returncode != 0 and "no finished backup" in done.stderr


def test_without_postgresqls_programs_it_says_what_is_missing(committed_db: str, home: Path, tmp_path: Path) -> None:
    done = manage("backup", str(tmp_path / "copy"), PATH="/nonexistent")
    if connection.vendor == "sqlite":  # it needs none
        assert done.returncode == 0
    else:
        assert done.returncode != 0 and "There is no pg_dump on the PATH" in done.stderr
