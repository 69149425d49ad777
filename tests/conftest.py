"""What every test gets: a database engine, a Redis, a home of its own, and a ledger that must add up afterwards.

`COMPUTENET_TEST_DATABASE` chooses the engine: `sqlite` (the default), or `postgres`, on which only what uses a database
runs. A test that writes to the database takes `db` (or `@pytest.mark.django_db`): it runs in a transaction that is
rolled back. A test of real commits (threads, other processes) takes `committed_db` instead.
"""

import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import hypothesis
import psycopg
import pytest
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import connection, connections
from django.test.utils import setup_databases
from psycopg import sql

from computenet import celery_app
from computenet.sandbox.embedded_redis import EmbeddedRedis
from tests import postgres

SESSION_FOLDER = Path(tempfile.mkdtemp(prefix="computenet-tests-"))
ENGINE = os.environ.get("COMPUTENET_TEST_DATABASE", "sqlite")
# Hundreds of processes start, each with the whole code: compiled anew, it costs each of them most of a second.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# A machine that does much else makes an example slow, which says nothing of the code.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")
_redis = EmbeddedRedis.plan(SESSION_FOLDER / "redis")
_processes: list[subprocess.Popen[bytes]] = []
_servers: list[postgres.Server] = []


def _database_url() -> str:
    if ENGINE == "sqlite":
        return f"sqlite:///{SESSION_FOLDER / 'unused.sqlite3'}"
    if ENGINE != "postgres":
        raise pytest.UsageError(f"COMPUTENET_TEST_DATABASE is {ENGINE!r}; it may be sqlite or postgres.")
    given = os.environ.get("DATABASE_URL", "")  # by a person, or by the process that started this one (xdist)
    if given.startswith("postgres"):
        return given
    _servers.append(postgres.Server())
    return _servers[0].url()


# Settings are read from the environment, once, by whoever imports them first: so before any test module is.
SERVER_URL = _database_url()
os.environ.update(
    DJANGO_SETTINGS_MODULE="computenet.settings",
    COMPUTENET_HOME=str(SESSION_FOLDER / "home"),
    COMPUTENET_SANDBOX="1",
    DATABASE_URL=SERVER_URL,
    REDIS_URL=_redis.url,
    SECRET_KEY=secrets.token_urlsafe(50),
)
# WhiteNoise warns where there is none, and a warning fails a test.
(SESSION_FOLDER / "home" / "static").mkdir(parents=True)
# A password's hash is slow on purpose, and the suite makes and opens hundreds of accounts. The processes that it starts
# hash as in life.
PBKDF2PasswordHasher.iterations = 1
# Read now: pytest-django sets Django up before test modules come, but only where settings have been read.
assert settings.SANDBOX
settings.WHITENOISE_AUTOREFRESH = True  # a file is looked for when it is asked for, not all of them for each client
UNUSED = settings.DATABASES["default"]["NAME"]
celery_app.conf.broker_url = _redis.url  # it was made before the environment was set


def pytest_sessionstart(session: pytest.Session) -> None:
    _processes.append(subprocess.Popen(_redis.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL))
    _redis.wait_until_up()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Several test processes: each reads settings of its own, after it has come to this file and set what they say."""
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)


def pytest_unconfigure(config: pytest.Config) -> None:
    for process in _processes:
        process.terminate()
        process.wait()
    for server in _servers:
        server.stop()
    shutil.rmtree(SESSION_FOLDER, ignore_errors=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        marker = item.get_closest_marker("django_db")
        if marker and marker.kwargs.get("transaction") or "transactional_db" in getattr(item, "fixturenames", ()):
            # Emptying tables is what the ledger's triggers refuse.
            raise pytest.UsageError(
                f"{item.nodeid}: take the fixture committed_db instead of a transactional database."
            )
    if ENGINE == "postgres":  # what touches no database has run on SQLite's turn
        config.hook.pytest_deselected(items=[item for item in items if not _uses_database(item)])
        items[:] = [item for item in items if _uses_database(item)]


def _uses_database(item: pytest.Item) -> bool:
    wanted = {"db", "committed_db", "modules_committed_db"} & set(getattr(item, "fixturenames", ()))
    return bool(wanted or item.get_closest_marker("django_db"))


@pytest.fixture(scope="session")
def redis_url() -> str:
    """The tests' real Redis."""
    return _redis.url


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    if ENGINE == "sqlite":  # a file, as in life: WAL, locks between connections, and something to copy
        connections.settings["default"]["TEST"]["NAME"] = str(SESSION_FOLDER / "test.sqlite3")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker) -> Iterator[str]:
    """The migrated test database, and beside it a template of it that nobody connects to; answers its name."""
    with django_db_blocker.unblock():
        if connections.settings["default"]["NAME"] == UNUSED:
            # pytest-django makes a database only where a test takes `db`; `committed_db` wants one as well.
            setup_databases(verbosity=0, interactive=False)
        connections.close_all()
    migrated = connections.settings["default"]["NAME"]
    template = f"{migrated}_template"
    _copy_database(migrated, template)
    yield template
    _drop_database(template)


@pytest.fixture
def committed_db(django_db_setup: str, django_db_blocker, tmp_path: Path) -> Iterator[str]:
    """A database of this test's own with real commits, for threads and other processes; answers its `DATABASE_URL`.

    Django's default connection and `DATABASE_URL` name it while the test runs. Threads close their connections
    themselves (`connections.close_all()`).
    """
    yield from _database_with_commits(django_db_setup, django_db_blocker, tmp_path)


@pytest.fixture(scope="module")
def modules_committed_db(django_db_setup: str, django_db_blocker, tmp_path_factory) -> Iterator[str]:
    """One `committed_db` for all tests of a module, which take no other database."""
    yield from _database_with_commits(django_db_setup, django_db_blocker, tmp_path_factory.mktemp("database"))


def _database_with_commits(template: str, django_db_blocker, folder: Path) -> Iterator[str]:
    database = connections.settings["default"]
    name = str(folder / "db.sqlite3") if ENGINE == "sqlite" else f"committed_{secrets.token_hex(6)}"
    url = f"sqlite:///{name}" if ENGINE == "sqlite" else urlunsplit(urlsplit(SERVER_URL)._replace(path=f"/{name}"))
    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as monkeypatch:
        connections.close_all()
        _copy_database(template, name)
        usual, database["NAME"] = database["NAME"], name
        monkeypatch.setenv("DATABASE_URL", url)
        try:
            yield url
            _check_ledger()
        finally:
            connections.close_all()
            database["NAME"] = usual
            _drop_database(name)


@pytest.fixture(autouse=True)
def ledger_adds_up(request: pytest.FixtureRequest) -> Iterator[None]:
    """Replay the ledger after every test that used the database: the whole suite is a test of the money."""
    if {"committed_db", "modules_committed_db"} & set(request.fixturenames):  # it replays before it drops its database
        yield
    elif request.node.get_closest_marker("django_db") or "db" in request.fixturenames:
        request.getfixturevalue("db")  # first, so that its rollback comes after the replay
        yield
        _check_ledger()
    else:
        yield


def _check_ledger() -> None:
    from marketplace.actions.audit import audit  # noqa: PLC0415  Django is not set up yet when this file is imported

    if connection.needs_rollback:
        pytest.fail("The test left its transaction broken; put what the database refuses into `with atomic():`.")
    report = audit()
    assert report.ok, "The ledger does not add up: " + "; ".join(report.problems)


def _copy_database(source: str, target: str) -> None:
    """Copy a database that nobody is writing to."""
    if ENGINE == "sqlite":
        with sqlite3.connect(source) as origin, sqlite3.connect(target) as copy:
            origin.backup(copy)
        origin.close()
        copy.close()
    else:
        _execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(target), sql.Identifier(source)))


def _drop_database(name: str) -> None:
    if ENGINE == "sqlite":
        for suffix in ("", "-wal", "-shm"):
            Path(name + suffix).unlink(missing_ok=True)
    else:
        _execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _execute(statement: sql.Composed) -> None:
    with psycopg.connect(SERVER_URL, autocommit=True) as server:
        server.execute(statement)
