"""docker-compose.yml has no secrets of its own, and gives each service what it needs only.

Its commands and health checks are run for real by test_first_hour.py.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.urls import resolve

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = sorted(name for name, service in SERVICES.items() if "build" in service)
SECRET = re.compile(r"SECRET|PASSWORD|KEY")


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_may_take_so_much_memory_processor_and_processes_and_no_more(name: str) -> None:
    limits = SERVICES[name]["deploy"]["resources"]["limits"]
    memory, cpus = (re.sub(r"\$\{\w+:-(.*)\}", r"\1", str(limits[what])) for what in ("memory", "cpus"))
    assert re.fullmatch(r"\d+[mg]", memory)
    assert 0 < float(cpus) <= 2  # the engine refuses more than the machine has
    assert 0 < limits["pids"] <= 512


def test_threads_of_arrays_follow_the_limit_and_not_the_machine() -> None:
    for name in OURS:
        assert {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"} <= set(SERVICES[name]["environment"]), name


def test_every_setting_of_the_server_can_be_given_in_env() -> None:
    table = (ROOT / "docs" / "settings.md").read_text().split("## Web")[1].split("\n## ")[0]
    fixed = {"COMPUTENET_HOME", "COMPUTENET_SANDBOX", "SECURE_SSL_REDIRECT", "STATIC_ROOT"}  # the image's, or dangerous
    given = {*SERVICES["web"]["environment"], *SERVICES["coordinator"]["environment"]}
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) - fixed == given - {
        "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
    }  # fmt: skip
    example = (ROOT / ".env.example").read_text()
    passed_on = {name for name, value in SERVICES["web"]["environment"].items() if value is None}
    assert set(re.findall(r"^# ([A-Z_]+)=", example, re.MULTILINE)) == passed_on


def test_backups_are_made_by_who_can_change_nothing_with_the_programs_of_the_servers_version() -> None:
    service = SERVICES["backups"]
    assert service["environment"]["DATABASE_URL"] == SERVICES["web"]["environment"]["DATABASE_URL"]
    assert "data:/data:ro" in service["volumes"]
    [backups] = [volume for volume in service["volumes"] if isinstance(volume, dict)]
    assert backups["target"] == service["command"][3] == "/backups"
    version = re.search(r"postgres:(\d+)", SERVICES["postgres"]["image"])
    assert version and f"postgresql-client-{version[1]} " in (ROOT / "Dockerfile").read_text()


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


def test_the_operators_page_gives_folders_to_the_users_that_the_containers_are() -> None:
    page, dockerfile = (ROOT / "docs" / "first-hour.md").read_text(), (ROOT / "Dockerfile").read_text()
    [ours] = re.findall(r"useradd --uid (\d+)", dockerfile)
    assert f"install -d -o {ours} -m 700 /srv/computenet/backups" in page
    assert f"user {ours}" in COMPOSE["services"]["backups"]["volumes"][1]["source"]
    assert "install -o 99 -m 400 /dev/stdin /srv/computenet/certificate.pem" in page  # haproxy's, in its image
