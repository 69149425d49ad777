"""docker-compose.yml names programs that exist, has no secrets of its own, and gives each role what it needs only."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from django.core.management import get_commands
from django.urls import resolve

from tests import postgres

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = sorted(name for name, service in SERVICES.items() if "build" in service)
SECRET = re.compile(r"SECRET|PASSWORD|KEY")


def has_module(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


@pytest.mark.parametrize("name", OURS)
def test_a_services_command_names_a_program_that_exists(name: str) -> None:
    command = SERVICES[name]["command"]
    if command[:3] == ["python", "-m", "uvicorn"]:
        module, application = command[3].split(":")
        assert has_module("uvicorn") and has_module(module)
        assert application == "application"
    elif command[:2] == ["python", "manage.py"]:
        assert command[2] in get_commands()
    else:
        assert command[:2] == ["celery", "-A"]
        # Celery itself says whether it knows the application, the subcommand and every option.
        done = subprocess.run(
            [sys.executable, "-m", "celery", *command[1:], "--help"], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


def test_every_queue_of_the_coordinator_has_a_service_that_consumes_it() -> None:
    from computenet.celery import app  # noqa: PLC0415  reads the settings, which the tests' environment must precede

    consumed = {
        queue for name in OURS if "-Q" in (command := SERVICES[name]["command"])
        for queue in command[command.index("-Q") + 1].split(",")
    }  # fmt: skip
    assert consumed == {queue.name for queue in app.conf.task_queues}


def test_no_secret_has_a_default() -> None:
    used = re.findall(r"\$\{(\w+)([^}]*)\}", TEXT)
    assert used
    for name, otherwise in used:
        if SECRET.search(name) and not otherwise.startswith(":?"):
            assert (name, otherwise) == ("COMPUTENET_KEY", ":-")  # wanted by one profile only, and empty is no secret
    for name, service in SERVICES.items():
        for variable, value in service["environment"].items():
            if SECRET.search(variable):
                # Without a value, it is passed on from .env.
                assert value is None or value.startswith("${"), f"{name} sets {variable} itself"


def test_the_example_of_env_names_every_variable_and_gives_away_none() -> None:
    lines = (line for line in (ROOT / ".env.example").read_text().splitlines() if line and not line.startswith("#"))
    example = dict(line.split("=", 1) for line in lines)
    assert set(example) == {name for name, _ in re.findall(r"\$\{(\w+)([^}]*)\}", TEXT)}
    assert set(example.values()) == {""}


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"migrate"}))
def test_a_lasting_service_has_a_health_check(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]


def test_the_web_is_healthy_while_it_answers_and_beat_while_the_network_is_ready() -> None:
    asked = {
        name: re.findall(r"http://(\w+):8000(/[\w/]+)'", " ".join(service.get("healthcheck", {}).get("test", [])))
        for name, service in SERVICES.items()
    }
    assert asked["web"] == [("localhost", "/health")] and asked["beat"] == [("web", "/health/ready")]
    assert all(resolve(path) for found in asked.values() for _, path in found)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_runs_without_root_and_without_new_privileges(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"]
    if "build" not in service:
        assert service["user"] not in ("", "root", "0")


@pytest.mark.parametrize("target", ["server", "gpu-worker"])
def test_an_image_of_ours_does_not_run_as_root(target: str) -> None:
    stages = re.split(r"^FROM ", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    stage = next(stage for stage in stages if stage.splitlines()[0].endswith(f" AS {target}"))
    assert re.search(r"^USER computenet$", stage, re.MULTILINE)


def test_a_gpu_workers_image_holds_nothing_of_the_coordinators_side() -> None:
    stage = (ROOT / "Dockerfile").read_text().split(" AS gpu-worker")[1]
    copied = re.findall(r"^COPY (.+)$", stage, re.MULTILINE)
    assert copied and all(line.split()[0].startswith("workers") for line in copied)


@pytest.mark.processes
def test_the_applications_role_works_and_can_neither_alter_nor_empty_tables() -> None:
    script = COMPOSE["configs"]["application-role"]["content"]
    statements = script.split("<<'SQL'\n")[1].split("\nSQL")[0].replace(":'password'", "'role-secret'")

    def manage(url: str, *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT, env={**os.environ, "DATABASE_URL": url}, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]

    with postgres.server() as server:
        with psycopg.connect(server.url(), autocommit=True) as owner:
            owner.execute("CREATE DATABASE computenet")
        with psycopg.connect(server.url("computenet"), autocommit=True) as owner:
            owner.execute(statements)
        manage(server.url("computenet"), "migrate", "--no-input", "-v", "0")
        as_role = f"postgres://computenet:role-secret@127.0.0.1:{server.port}/computenet"
        manage(as_role, "audit_ledger")
        with psycopg.connect(as_role, autocommit=True) as role:
            table = "marketplace_account"
            assert role.execute(f"SELECT count(*) FROM {table}").fetchone()  # type: ignore[arg-type]
            for statement in (f"TRUNCATE {table} CASCADE", f"ALTER TABLE {table} DISABLE TRIGGER ALL",
                              f"DROP TABLE {table} CASCADE", "CREATE TABLE another (x int)"):  # fmt: skip
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    role.execute(statement)  # type: ignore[arg-type]
