"""docker-compose.yml without Docker's engine: its services as processes here, and a `docker` that knows them.

    python -m tests.house.composed FOLDER compose up --detach --wait

understands the few words that docs/first-hour.md says to `docker compose`. Commands, environments, the order of
starting and the health checks are read from the file. What only an engine has is left out: images, users, limits,
networks. Names of hosts become ports of the loopback, and volumes folders. PostgreSQL is the tests' own, with the
file's script run in it; the proxy is left to tests/broker/test_tls.py, and so the web answers without TLS.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import yaml
from psycopg import sql

from computenet.sandbox.embedded_redis import find_program
from tests.sandbox.running import ROOT, processes, wait_until

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
ELSEWHERE = {"proxy"}  # tried by tests/broker/test_tls.py
UP_SECONDS = 60.0
IMAGES = {  # what the Dockerfile's ENV says
    "computenet-server": {"COMPUTENET_HOME": "/data"},
    "computenet-gpu-worker": {"COMPUTENET_WORKER_HOME": "/data"},
}
INSTEAD = {"SECURE_SSL_REDIRECT": "0", "COMPUTENET_DEVICE": "cpu"}  # there is no proxy here, and perhaps no GPU


class Composed:
    """One project's services. `folder` holds `places.json`: the ports, and each project's PostgreSQL."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        lines = (line for line in Path(".env").read_text().splitlines() if line and not line.startswith("#"))
        self.env = dict(line.split("=", 1) for line in lines)
        self.project = self.env.get("COMPOSE_PROJECT_NAME") or COMPOSE["name"]
        self.home = folder / self.project
        self.places = json.loads((folder / "places.json").read_text())
        self.postgres = self.places["postgres"][self.project]

    def filled(self, text: str) -> str:
        """`text` with the variables of `.env` in it, as Compose fills them in."""

        def value(found: re.Match[str]) -> str:
            name, how, otherwise = found[1], found[2], found[3] or ""
            given = self.env.get(name, "")
            if how == ":?" and not given:
                raise SystemExit(otherwise)
            if how == ":+":
                return otherwise if given else ""
            return given or (otherwise if how == ":-" else "")

        return re.sub(r"\$\{(\w+)(:[?+-])?([^}]*)\}", value, text).replace("$$", "$")

    def here(self, service: str, text: str) -> str:
        """`text` with this machine's places for those of a container."""
        web, redis = self.places["web"], self.places["redis"]
        configuration = f"{self.home}/tmp/redis.conf"
        for there, place in (
            ("/tmp/", f"{self.home}/tmp/"),
            ("@postgres:5432/", f"@127.0.0.1:{self.postgres['port']}/"),
            ("@redis:6379/", f"@127.0.0.1:{redis}/"),
            ("http://web:8000", f"http://127.0.0.1:{web}"),
            ("http://localhost:8000", f"http://127.0.0.1:{web}"),
            (f"rediss://{self.env['BROKER_HOST']}:443", f"redis://127.0.0.1:{redis}"),
            ("0.0.0.0", "127.0.0.1"),
            ("redis-cli", f"redis-cli -p {redis}"),
            (f"redis-server {configuration}", f"{find_program()} {configuration} --port {redis} --bind 127.0.0.1"),
        ):
            text = text.replace(there, place)
        for volume in SERVICES[service].get("volumes", ()):
            source, target = (volume["source"], volume["target"]) if isinstance(volume, dict) else volume.split(":")[:2]
            place = self.filled(source)
            place = place if place.startswith("/") else str(self.home / place)
            text = re.sub(rf"(?<![\w/]){target}\b", place, text)
        return str(web) if text == "8000" else text

    def environment(self, service: str) -> dict[str, str]:
        stated = IMAGES.get(SERVICES[service].get("image", ""), {}) | SERVICES[service].get("environment", {})
        found = {
            name: self.here(service, self.filled(text)) if text is not None else self.env.get(name)
            for name, text in stated.items()
        }
        path = f"{Path(sys.executable).parent}{os.pathsep}{self.places['programs']}{os.pathsep}{os.environ['PATH']}"
        bare = {"PATH": path, "HOME": str(self.home), "HOSTNAME": socket.gethostname(), "LC_ALL": "C.UTF-8"}
        return bare | {name: text for name, text in found.items() if text is not None} | INSTEAD

    def command(self, service: str, words: list[str] | None = None) -> list[str]:
        return [self.here(service, self.filled(word)) for word in words or SERVICES[service]["command"]]

    def run(self, service: str, words: list[str] | None = None) -> int:
        """Run a command where the service would, and answer its exit status."""
        return subprocess.run(self.command(service, words), cwd=ROOT, env=self.environment(service)).returncode

    def start(self, service: str) -> None:
        """Start a service, with those that it needs before."""
        for needed, how in SERVICES[service].get("depends_on", {}).items():
            self.start(needed)
            if how["condition"] == "service_healthy":
                self.wait(needed)
        started = self.home / "started" / service
        if started.exists() or service in ELSEWHERE:
            return
        (self.home / "tmp").mkdir(parents=True, exist_ok=True)
        started.parent.mkdir(exist_ok=True)
        if service == "postgres":
            self._make_database()
            started.touch()
        elif SERVICES[service].get("restart") == "no":
            if self.run(service):
                raise SystemExit(f"{service} failed.")
            started.touch()
        else:
            with (self.home / f"{service}.log").open("ab") as log:
                process = subprocess.Popen(
                    self.command(service), cwd=ROOT, env=self.environment(service), stdin=subprocess.DEVNULL,
                    stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip
            started.write_text(str(process.pid))

    def wait(self, service: str) -> None:
        """Return when the service's own health check says that it is healthy."""
        if service in ELSEWHERE | {"postgres"}:
            return
        pid, log = self._pid(service), self.home / f"{service}.log"
        deadline = time.monotonic() + UP_SECONDS
        while not self.is_healthy(service):
            if pid not in processes() or time.monotonic() > deadline:
                raise SystemExit(f"{service} is not healthy: {log.read_text()[-3000:]}")
            time.sleep(0.2)

    def is_healthy(self, service: str) -> bool:
        kind, *words = SERVICES[service]["healthcheck"]["test"]
        if service == "redis":  # the image's redis-cli is not here
            kind, words = "CMD-SHELL", [f'python -c "{REDIS_ANSWERS}" {self.places["redis"]}']
        command = ["sh", "-c", self.here(service, self.filled(words[0]))] if kind == "CMD-SHELL" else words
        if kind == "CMD":
            command = self.command(service, words)
        done = subprocess.run(command, cwd=ROOT, env=self.environment(service), capture_output=True)
        return done.returncode == 0

    def up(self, words: list[str], profiles: set[str]) -> None:
        named = [word for word in words if not word.startswith("-")]
        wanted = named or [name for name, its in SERVICES.items() if set(its.get("profiles", [])) <= profiles]
        for service in wanted:
            self.start(service)
        if "--wait" in words:
            for service in wanted:
                if SERVICES[service].get("restart") != "no":
                    self.wait(service)

    def down(self) -> None:
        """End the services, as the engine does: by SIGTERM. Volumes stay."""
        running = [name for name in SERVICES if (self.home / "started" / name).exists()]
        pids = {name: self._pid(name) for name in running}
        for pid in filter(None, pids.values()):
            os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not set(filter(None, pids.values())) & set(processes()), 30.0)
        for name in running:
            (self.home / "started" / name).unlink()

    def _pid(self, service: str) -> int:
        return int((self.home / "started" / service).read_text() or 0)

    def _make_database(self) -> None:
        """What the image of PostgreSQL does at its first start: the owner, the database, and the file's script."""
        its = self.environment("postgres")
        with psycopg.connect(self.postgres["url"], autocommit=True) as server:
            if server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [its["POSTGRES_DB"]]).fetchone():
                return
            owner, database = sql.Identifier(its["POSTGRES_USER"]), sql.Identifier(its["POSTGRES_DB"])
            password = sql.Literal(its["POSTGRES_PASSWORD"])
            server.execute(sql.SQL("CREATE ROLE {} LOGIN SUPERUSER PASSWORD {}").format(owner, password))
            server.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, owner))
        script = self.filled(COMPOSE["configs"]["application-role"]["content"])
        reach = {"PGHOST": "127.0.0.1", "PGPORT": str(self.postgres["port"]), "PGPASSWORD": its["POSTGRES_PASSWORD"]}
        subprocess.run(["sh"], input=script, env=its | reach, text=True, check=True, stdout=subprocess.DEVNULL)


REDIS_ANSWERS = (
    "import os, sys, redis; "
    "redis.Redis(port=int(sys.argv[1]), username='coordinator', password=os.environ['REDIS_PASSWORD']).ping()"
)


def main(folder: str, word: str, *words: str) -> int:
    assert word == "compose", word
    project, rest, profiles = Composed(Path(folder)), list(words), set()
    while rest[0] == "--profile":
        profiles.add(rest[1])
        rest = rest[2:]
    verb, *rest = rest
    if verb == "up":
        project.up(rest, profiles)
    elif verb == "down":
        project.down()
    elif verb in ("exec", "run"):
        while rest[0].startswith("-"):
            rest = rest[1:]
        service, *command = rest
        for needed in SERVICES[service].get("depends_on", {}) if verb == "run" else ():
            project.start(needed)
        return project.run(service, command)
    else:
        raise SystemExit(f"docker compose {verb}: not known here.")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
