"""docs/first-hour.md from its first line to its last, with the compose file's own commands and no Docker."""

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import requests

from computenet.sandbox.embedded_redis import free_port
from tests import postgres
from tests.sandbox.running import ROOT

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not shutil.which("curl"), reason="The page's commands need curl (Debian: apt install curl)."),
]
PAGE = (ROOT / "docs" / "first-hour.md").read_text()
BLOCKS = re.findall(r"<!-- run: (\w+) -->\n```bash\n(.*?)```", PAGE, re.DOTALL)
PASSWORD = "a long enough secret 42"


class Hour:
    """The machine of an operator: a checkout's folder, and a `docker` and a `computenet` on the PATH."""

    def __init__(self, folder: Path, servers: dict[str, postgres.Server]) -> None:
        self.folder = folder / "checkout"
        self.folder.mkdir()
        shutil.copy(ROOT / ".env.example", self.folder)
        (folder / "backups").mkdir(mode=0o700)
        (folder / "certificate.pem").touch()
        self.web, self.url = free_port(), ""
        self.servers, self.backups = servers, folder / "backups"
        places = {
            "web": self.web, "redis": free_port(), "programs": str(postgres.find_programs()),
            "postgres": {name: {"port": server.port, "url": server.url()} for name, server in servers.items()},
        }  # fmt: skip
        (folder / "places.json").write_text(json.dumps(places))
        self.bin = folder / "bin"
        self.bin.mkdir()
        for name, module in (("docker", f"tests.house.composed {folder}"), ("computenet", "computenet_client")):
            (self.bin / name).write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m {module} "$@"\n')
            (self.bin / name).chmod(0o755)
        kept = {name: os.environ[name] for name in ("LANG", "VIRTUAL_ENV") if name in os.environ}
        self.environment = kept | {"PATH": f"{self.bin}:{os.environ['PATH']}", "HOME": str(folder)}
        self.said = ""

    def script(self, *kinds: str) -> str:
        found = "\n".join(text for kind, text in BLOCKS if kind in kinds)
        assert found
        return found.replace("https://compute.example.org", self.url)

    def run(self, *kinds: str) -> str:
        done = subprocess.run(
            ["sh", "-e"], input=self.script(*kinds), cwd=self.folder, env=self.environment, capture_output=True,
            text=True, timeout=240,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def typed(self, kind: str, *answers: str) -> str:
        """Run a block at a terminal, and type one of `answers` whenever it asks for something."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.folder)
            os.execve("/bin/sh", ["sh", "-e", "-c", self.script(kind)], self.environment)
        said, waiting, deadline = b"", list(answers), time.monotonic() + 60
        while time.monotonic() < deadline:
            if select.select([terminal], [], [], 0.2)[0]:
                try:
                    said += os.read(terminal, 4096)
                except OSError:  # it has ended
                    break
            if waiting and said.rstrip(b" ").endswith(b":"):
                said += b"\n"
                os.write(terminal, waiting.pop(0).encode() + b"\n")
        os.close(terminal)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, said.decode()
        return said.decode()

    def set(self, **values: str) -> None:
        text = (self.folder / ".env").read_text()
        for name, value in values.items():
            text, found = re.subn(rf"^{name}=$", f"{name}={value}", text, flags=re.MULTILINE)
            assert found == 1, name
        (self.folder / ".env").write_text(text)

    def end(self) -> None:
        if (self.folder / ".env").exists():
            subprocess.run([self.bin / "docker", "compose", "down"], cwd=self.folder, env=self.environment, check=True)


@pytest.fixture
def hour(tmp_path: Path) -> Iterator[Hour]:
    with postgres.server() as first, postgres.server() as second:
        started = Hour(tmp_path, {"computenet": first, "computenet-rehearsal": second})
        try:
            yield started
        finally:
            started.end()


def test_the_first_hour_from_env_to_a_network_that_came_back(hour: Hour) -> None:
    hour.run("env")
    stated = dict(re.findall(r"^(\w+)=(.*)$", PAGE.split("```ini\n")[1].split("```")[0], re.MULTILINE))
    hour.url = f"http://127.0.0.1:{hour.web}"
    mine = {"PUBLIC_URL": hour.url, "ALLOWED_HOSTS": "127.0.0.1", "BACKUP_FOLDER": str(hour.backups)}
    hour.set(**stated | mine)
    needed = re.findall(r"\$\{(\w+):\?", (ROOT / "docker-compose.yml").read_text())
    given = dict(
        line.split("=", 1) for line in (hour.folder / ".env").read_text().splitlines() if re.match(r"\w", line)
    )
    assert all(given[name] for name in needed)  # the page names all that must be filled in

    hour.run("up")
    assert requests.get(f"{hour.url}/health/ready", timeout=10).status_code == 200
    assert "created successfully" in hour.typed("superuser", PASSWORD, PASSWORD)
    assert (hour.backups / "latest" / "database.dump").stat().st_size > 10_000
    cannot_be_changed(hour)

    said = hour.run("money", "people", "worker", "job", "backup")
    assert "Issued 100,000 tokens; treasury holds 100,000 now." in said
    [invitation] = re.findall(r"^http\S+/accounts/signup/\S+$", said, re.MULTILINE)
    page = requests.get(invitation, timeout=10)
    assert page.status_code == 200 and urlsplit(invitation).query.split("=")[1] in page.text
    assert "The books add up" in said and re.search(r"wallet +990\.0+ tokens", said)  # 10 of 20 paid back the stake
    assert len([each for each in hour.backups.iterdir() if each.name != "latest"]) == 2

    said = hour.run("restore")
    assert "The books add up" in said and "verified" in said and "me has 980.000000 tokens" in said
    assert not (hour.folder.parent / "computenet-rehearsal" / "started" / "coordinator").exists()


def cannot_be_changed(hour: Hour) -> None:
    """The role that the services use works (they are up), and can neither alter nor empty the tables."""
    password = re.search(r"^POSTGRES_PASSWORD=(\w+)$", (hour.folder / ".env").read_text(), re.MULTILINE)
    assert password
    server, table = hour.servers["computenet"], "marketplace_account"
    as_role = f"postgres://computenet:{password[1]}@127.0.0.1:{server.port}/computenet"
    with psycopg.connect(as_role, autocommit=True) as role:
        for statement in (f"TRUNCATE {table} CASCADE", f"ALTER TABLE {table} DISABLE TRIGGER ALL",
                          f"DROP TABLE {table} CASCADE", "CREATE TABLE another (x int)"):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                role.execute(statement)  # type: ignore[arg-type]
