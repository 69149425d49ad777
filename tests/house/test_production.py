"""Nothing starts without secrets of its own, the deployment check is clean, and the sandbox stays on the loopback."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from computenet import production

ROOT = Path(__file__).resolve().parents[2]
PRODUCTION = {
    "SECRET_KEY": secrets.token_urlsafe(50),
    "ALLOWED_HOSTS": "compute.example.org",
    "PUBLIC_URL": "https://compute.example.org",
    "PUBLIC_BROKER_URL": "rediss://compute.example.org:443/0",
    "CSRF_TRUSTED_ORIGINS": "https://compute.example.org",
    "DATABASE_URL": f"postgres://computenet:{secrets.token_hex(16)}@127.0.0.1:5432/computenet",
    "REDIS_URL": f"redis://coordinator:{secrets.token_hex(16)}@127.0.0.1:6379/0",
    "BEHIND_PROXY": "1",
}


def run(tmp_path: Path, *command: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a production environment, with `changes` made to it ("" takes a variable out)."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV")}
    environment = kept | PRODUCTION | {"COMPUTENET_HOME": str(tmp_path)} | changes
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={name: value for name, value in environment.items() if value},
        capture_output=True,
        text=True,
    )


def test_the_deployment_check_is_clean(tmp_path: Path) -> None:
    (tmp_path / "static").mkdir()
    done = run(tmp_path, "manage.py", "check", "--deploy", "--fail-level", "WARNING")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no issues" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY"),
        ({"SECRET_KEY": "a" * 60}, "SECRET_KEY"),
        ({"SECRET_KEY": "django-insecure-" + "0123456789abcdef" * 4}, "SECRET_KEY"),
        ({"ALLOWED_HOSTS": ""}, "ALLOWED_HOSTS"),
        ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS"),
        ({"REDIS_URL": ""}, "REDIS_URL"),
        ({"REDIS_URL": "redis://127.0.0.1:6379/0"}, "REDIS_URL"),
        ({"REDIS_URL": "redis://:changeme@127.0.0.1:6379/0"}, "REDIS_URL"),
        ({"DATABASE_URL": "postgres://computenet:computenet@127.0.0.1/computenet"}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgres://computenet:postgres@127.0.0.1/computenet"}, "DATABASE_URL"),
    ],
)
def test_one_sentence_names_what_is_missing(changes: dict[str, str], names: str) -> None:
    sentence = production.problem(PRODUCTION | changes)
    assert sentence.startswith(f"Set {names}") or f" in {names};" in sentence
    assert sentence.endswith(".") and "\n" not in sentence
    assert not any(value and value in sentence for name, value in changes.items() if name != "ALLOWED_HOSTS")


def test_a_whole_environment_is_fine() -> None:
    assert production.problem(PRODUCTION) == ""


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "uvicorn", "computenet.asgi:application", "--lifespan", "off", "--port", "1"],
        ["-m", "celery", "-A", "computenet", "worker", "-P", "solo"],
        ["manage.py", "migrate"],
    ],
    ids=["web", "coordinator", "migrate"],
)
def test_no_process_starts_without_a_secret_and_each_says_so_in_one_sentence(
    tmp_path: Path, command: list[str]
) -> None:
    done = run(tmp_path, *command, SECRET_KEY="")
    said = (done.stdout + done.stderr).strip()
    assert done.returncode != 0
    assert said == production.problem(PRODUCTION | {"SECRET_KEY": ""})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "compute.example.org"])
def test_the_sandbox_does_not_start_on_an_address_that_others_reach(tmp_path: Path, host: str) -> None:
    command = ["-m", "uvicorn", "computenet.asgi:application", "--lifespan", "off", "--host", host, "--port", "1"]
    database = {"DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}"}
    done = run(tmp_path, *command, COMPUTENET_SANDBOX="1", **database)
    assert done.returncode != 0
    assert f"must not listen on {host}" in done.stderr and "Traceback" not in done.stderr
