"""deploy/ and docs/bare-metal.md: the units run what Compose runs, within the same limits, and may do little else."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests import postgres
from tests.house.composed import COMPOSE, SERVICES
from tests.sandbox.running import ROOT

PAGE = (ROOT / "docs" / "bare-metal.md").read_text()
BLOCKS = dict(re.findall(r"<!-- run: (\w+) -->\n```bash\n(.*?)```", PAGE, re.DOTALL))
UNITS = {path.stem.removeprefix("computenet-"): path for path in sorted(ROOT.glob("deploy/systemd/*.service"))}
PROGRAMS = "/opt/computenet/.venv/bin/"
HERE = {"0.0.0.0": "127.0.0.1", "*": "127.0.0.1", "/backups": "/var/lib/computenet-backups"}  # the proxy is beside it


def directives(path: Path) -> dict[str, list[str]]:
    """What a unit says, by name."""
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if line and line[0] not in "#[":
            name, value = line.split("=", 1)
            found.setdefault(name, []).append(value)
    return found


def filled(text: Any) -> str:
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(text)).replace("$$", "$")


def test_every_service_of_ours_has_a_unit_and_the_target_starts_them() -> None:
    ours = {name for name, service in SERVICES.items() if service.get("image") == "computenet-server"}
    assert set(UNITS) == ours
    wanted = " ".join(directives(ROOT / "deploy" / "systemd" / "computenet.target")["Wants"]).split()
    assert {name.removeprefix("computenet-").removesuffix(".service") for name in wanted} == ours - {"migrate"}
    assert all(f"`computenet-{name}`" in PAGE for name in ours)


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_runs_the_command_of_composes_service(name: str) -> None:
    [command] = directives(UNITS[name])["ExecStart"]
    expected = [HERE.get(word, word) for word in map(filled, SERVICES[name]["command"])]
    assert command.startswith(PROGRAMS)
    assert command.removeprefix(PROGRAMS).replace("%%", "%").split() == expected


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_has_the_limits_of_composes_service_and_its_environment(name: str) -> None:
    limits = {key: filled(value) for key, value in SERVICES[name]["deploy"]["resources"]["limits"].items()}
    unit = directives(UNITS[name])
    assert unit["MemoryMax"] == [limits["memory"].upper()] and unit["TasksMax"] == [limits["pids"]]
    assert unit["CPUQuota"] == [f"{float(limits['cpus']):.0%}"]
    own = {"DATABASE_KEEP", "DATABASE_POOL"} & set(SERVICES[name]["environment"])
    assert unit.get("Environment", []) == [f"{each}={SERVICES[name]['environment'][each]}" for each in own]
    assert unit["EnvironmentFile"] == ["/etc/computenet/server.env"] + ["/etc/computenet/owner.env"] * (
        name == "migrate"
    )


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_as_hardened_as_the_workers(name: str) -> None:
    worker = (ROOT / "workers" / "computenet-worker.service").read_text().split("DynamicUser=yes")[1]
    kept = {line for line in worker.split("[Install]")[0].splitlines() if "=" in line}
    kept -= {"StateDirectory=computenet-worker"}
    assert len(kept) > 15
    assert kept | {"User=computenet", "PrivateDevices=yes"} <= set(UNITS[name].read_text().splitlines())
    folder = "computenet-backups" if name == "backups" else "computenet"  # the other one's is not for it to write
    assert directives(UNITS[name])["StateDirectory"] == [folder]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="There is no systemd here.")
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    for path in (*UNITS.values(), ROOT / "deploy" / "systemd" / "computenet.target"):
        text = path.read_text().replace("python ", "true ").replace("celery ", "true ")
        (tmp_path / path.name).write_text(text.replace(PROGRAMS, "/bin/"))
    done = subprocess.run(
        ["systemd-analyze", "verify", *tmp_path.iterdir()], capture_output=True, text=True,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if "computenet" in line]
    assert (done.returncode, said) == (0, []), done.stderr


def run(script: str, folder: Path, **environment: str) -> str:
    """Run a script of the page with `folder` for the machine's own, as whoever the test is."""
    (folder / "etc").mkdir(exist_ok=True)
    for there, here in (
        ("/etc/", f"{folder}/etc/"),
        ("/opt/computenet/.venv/bin/python", sys.executable),
        ("/opt/computenet", str(ROOT)),
        ("runuser -u postgres -- ", ""),
    ):
        script = script.replace(there, here)
    path = f"{postgres.find_programs()}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-e"], input=script, cwd=folder, capture_output=True, text=True,
        env={"PATH": path, "HOME": str(folder), **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def kept_in(file: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


@pytest.mark.processes
def test_the_pages_roles_work_and_the_services_can_neither_alter_nor_empty_tables(tmp_path: Path) -> None:
    with postgres.server() as server:
        reach = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGUSER": "postgres", "PGPASSWORD": server.password}
        run(BLOCKS["settings"] + BLOCKS["postgresql"], tmp_path, **reach)
        settings = {
            name: kept_in(tmp_path / "etc" / "computenet" / f"{name}.env")["DATABASE_URL"].replace(
                ":5432/", f":{server.port}/"
            )
            for name in ("owner", "server")
        }
        with psycopg.connect(settings["owner"], autocommit=True) as owner:
            owner.execute("CREATE TABLE kept (id bigint GENERATED ALWAYS AS IDENTITY, note text)")
        with psycopg.connect(settings["server"], autocommit=True) as role:
            role.execute("INSERT INTO kept (note) VALUES ('a row')")
            role.execute("UPDATE kept SET note = 'another'")
            for statement in ("TRUNCATE kept", "ALTER TABLE kept ADD x int", "DROP TABLE kept", "CREATE TABLE y ()"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    role.execute(statement)


def test_the_pages_settings_are_all_that_compose_gives_and_nobody_else_reads_them(tmp_path: Path) -> None:
    run(BLOCKS["settings"], tmp_path)
    folder = tmp_path / "etc" / "computenet"
    stated = {name for name, value in SERVICES["migrate"]["environment"].items() if value is not None}
    assert set(kept_in(folder / "server.env")) == stated | {"COMPUTENET_HOME"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in (folder, *folder.iterdir()))


def test_redis_and_the_proxy_are_configured_as_in_compose(tmp_path: Path) -> None:
    for name in ("redis", "haproxy", "default"):
        (tmp_path / "etc" / name).mkdir(parents=True)
    run("redis=secret\n" + BLOCKS["redis"] + BLOCKS["proxy"], tmp_path)
    written = SERVICES["redis"]["command"][2]
    users, conf = ((tmp_path / "etc" / "redis" / name).read_text() for name in ("users.acl", "redis.conf"))
    said = re.findall(r"printf ['\"](.*?)\\n['\"]", written.replace('\\"', '"'), re.DOTALL)
    expected = said[0].replace("\\n", "\n").replace("%s", users.split("#")[1].split()[0])
    assert users.strip() == expected
    rules = set(re.findall(r"(?:save|proto|maxmemory)[^\\\n]*", written))
    assert len(rules) == 4 and rules <= set(conf.splitlines())
    proxy = (tmp_path / "etc" / "haproxy" / "haproxy.cfg").read_text()
    assert (
        proxy.replace("  user haproxy\n  group haproxy\n", "").strip()
        == filled(COMPOSE["configs"]["proxy"]["content"]).strip()
    )
    given = kept_in(tmp_path / "etc" / "default" / "haproxy")
    assert set(given) == set(SERVICES["proxy"]["environment"])


def test_manage_has_the_services_settings_and_the_owners_only_when_asked(tmp_path: Path) -> None:
    script = (ROOT / "deploy" / "manage").read_text()
    run(BLOCKS["settings"], tmp_path)
    script = script.replace("/etc/", f"{tmp_path}/etc/").replace("/opt/computenet", str(ROOT))
    script = script.replace("runuser --user computenet -- .venv/bin/python manage.py", "env")
    for words, role in (([], "computenet"), (["--owner"], "owner")):
        command = ["sh", "-c", script, "manage", *words]
        done = subprocess.run(command, capture_output=True, text=True, env={"PATH": os.environ["PATH"]}, check=True)
        assert re.search(rf"^DATABASE_URL=postgres://{role}:\w+@", done.stdout, re.MULTILINE)
        assert "REDIS_URL=redis://coordinator:" in done.stdout
