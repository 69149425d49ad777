"""The compose file's proxy and its Redis, run for real: both names on one port, certificates checked."""

import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
import requests
import yaml
from redis.backoff import NoBackoff
from redis.retry import Retry

from computenet.sandbox.embedded_redis import find_program, free_port
from tests.broker.network import Machine, Network, small_job, wait_until
from tests.factories import make_client

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
PROXY = COMPOSE["configs"]["proxy"]["content"].replace("$$", "$")
needs_haproxy = pytest.mark.skipif(not shutil.which("haproxy"), reason="haproxy is not on the PATH")
needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not on the PATH")
pytestmark = pytest.mark.processes
ONCE = Retry(NoBackoff(), 0)


def openssl(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def make_certificates(folder: Path, names: str = "DNS:localhost,IP:127.0.0.1") -> tuple[Path, Path]:
    """A self-made authority, and a PEM file with a certificate of it for `names` and the key."""
    folder.mkdir()
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl(folder, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Test CA")
    openssl(folder, "req", *key, "-keyout", "own.key", "-out", "own.csr", "-subj", "/CN=test")
    (folder / "names").write_text(f"subjectAltName={names}\n")
    openssl(
        folder, "x509", "-req", "-in", "own.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
        "-out", "own.pem", "-days", "2", "-extfile", "names",
    )  # fmt: skip
    (folder / "both.pem").write_text((folder / "own.pem").read_text() + (folder / "own.key").read_text())
    return folder / "ca.pem", folder / "both.pem"


class Proxy:
    """haproxy with the compose file's configuration, on two free ports of the loopback."""

    def __init__(self, folder: Path, certificate: Path, tls: int, web: int, redis_port: int) -> None:
        self.plain = free_port()
        # The names of its inner sockets belong to the whole machine.
        text = PROXY.replace("abns@", f"abns@{folder.name}-{tls}-").replace("bind :", "bind 127.0.0.1:")
        text = text.replace("maxconn 20000", "maxconn 500")  # within what this process may open
        (folder / "haproxy.cfg").write_text(text)
        places = {"WEB": f"127.0.0.1:{web}", "REDIS": f"127.0.0.1:{redis_port}", "BROKER_HOST": "localhost"}
        ports = {"TLS_PORT": str(tls), "PLAIN_PORT": str(self.plain), "CERTIFICATE": str(certificate)}
        with (folder / "haproxy.log").open("wb") as log:
            self.process = subprocess.Popen(
                ["haproxy", "-W", "-f", str(folder / "haproxy.cfg")],
                env={"PATH": os.environ["PATH"], **places, **ports}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        wait_until(lambda: accepts(tls), 10, (folder / "haproxy.log").read_text)


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificates(tmp_path_factory.mktemp("certificates") / "own")


@pytest.fixture(scope="module")
def behind(
    modules_committed_db: str, tmp_path_factory: pytest.TempPathFactory, redis_url: str, certificates: tuple[Path, Path]
) -> Iterator[tuple[Network, str, Proxy]]:
    """A network outside the sandbox whose web and Redis are reached through the proxy alone, and its address."""
    folder, tls = tmp_path_factory.mktemp("tls"), free_port()
    closed = {
        "COMPUTENET_SANDBOX": "0", "ALLOWED_HOSTS": "127.0.0.1", "BEHIND_PROXY": "1", "SECURE_SSL_REDIRECT": "1",
        "PUBLIC_URL": f"https://127.0.0.1:{tls}", "PUBLIC_BROKER_URL": f"rediss://localhost:{tls}/0",
    }  # fmt: skip
    network = Network(folder, **closed)
    try:
        proxy = Proxy(folder, certificates[1], tls, network.server.port, urlsplit(redis_url).port or 0)
        try:
            make_client(balance=1000)
            yield network, f"https://127.0.0.1:{tls}", proxy
        finally:
            network_log = (folder / "haproxy.log").read_text()
            proxy.process.terminate()
            proxy.process.wait(10)
            assert "ALERT" not in network_log
    finally:
        network.close()


@needs_haproxy
@needs_openssl
def test_a_worker_does_its_work_over_tls_with_both_names_on_one_port(
    behind: tuple[Network, str, Proxy], certificates: tuple[Path, Path]
) -> None:
    network, address, _ = behind
    network.server.url = address
    machine = network.start("w", COMPUTENET_CA_FILE=str(certificates[0])).ready()
    assert urlsplit(machine.credentials["broker_url"]).scheme == "rediss"
    assert "transport:   rediss://" in machine.log() and "cannot be reached" not in machine.log()
    for _ in range(3):
        assert network.until(small_job(), "verified").worker.name == "w"


@needs_haproxy
@needs_openssl
def test_a_worker_that_does_not_know_the_authority_gives_its_key_to_nobody(
    behind: tuple[Network, str, Proxy], tmp_path: Path
) -> None:
    _, address, _ = behind
    other, _ = make_certificates(tmp_path / "other")
    for more in ({}, {"COMPUTENET_CA_FILE": str(other)}):
        machine = Machine(tmp_path / f"home{len(more)}", address, "a key", **more)
        try:
            wait_until(lambda machine=machine: "is not trusted" in machine.log(), 20, machine.log)
            assert not (machine.home / "credentials.json").exists()
        finally:
            machine.end()


@needs_haproxy
@needs_openssl
def test_redis_and_web_are_told_apart_by_name_and_nothing_comes_in_without_tls(
    behind: tuple[Network, str, Proxy], certificates: tuple[Path, Path], redis_url: str, tmp_path: Path
) -> None:
    _, address, proxy = behind
    port, ca = urlsplit(address).port or 0, str(certificates[0])
    assert requests.get(f"{address}/health", verify=ca, timeout=5).status_code == 200
    secret = urlsplit(redis_url).password
    options = {
        "ssl": True,
        "ssl_ca_certs": ca,
        "username": "coordinator",
        "password": secret,
        "socket_timeout": 5,
        "retry": ONCE,
    }
    with redis.Redis("localhost", port, **options) as broker:
        assert broker.ping()
    with (
        pytest.raises(redis.exceptions.InvalidResponse, match="HTTP"),
        redis.Redis("127.0.0.1", port, **options) as web,
    ):
        web.ping()  # that name is the web's
    other, _ = make_certificates(tmp_path / "other")
    with pytest.raises(redis.exceptions.ConnectionError, match="certificate verify failed"):
        redis.Redis("localhost", port, **(options | {"ssl_ca_certs": str(other)})).ping()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        plain.sendall(b"*1\r\n$4\r\nPING\r\n")
        assert plain.recv(100) == b""
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(ca)
    with pytest.warns(DeprecationWarning):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("localhost", port), timeout=10) as raw, pytest.raises((ssl.SSLError, OSError)):
        old.wrap_socket(raw, server_hostname="localhost")
    answer = requests.get(f"http://127.0.0.1:{proxy.plain}/health", allow_redirects=False, timeout=5)
    assert answer.status_code == 301 and answer.headers["Location"].startswith("https://")


def test_the_compose_files_redis_has_the_coordinators_user_alone(tmp_path: Path) -> None:
    port = free_port()
    script = COMPOSE["services"]["redis"]["command"][2].replace("$$", "$").replace("/tmp/", f"{tmp_path}/")
    script = script.replace("exec redis-server", f"exec {find_program()}") + f" --port {port} --bind 127.0.0.1"
    environment = {"PATH": os.environ["PATH"], "REDIS_PASSWORD": "a-long-secret"}
    process = subprocess.Popen(
        ["sh", "-c", script.replace("\n --port", " --port")], env=environment, stdout=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: accepts(port), 10)
        for name, password in (("default", ""), ("default", "a-long-secret"), ("coordinator", "another")):
            with pytest.raises(redis.exceptions.AuthenticationError):
                redis.Redis(port=port, username=name, password=password, retry=ONCE).ping()
        with redis.Redis(port=port, username="coordinator", password="a-long-secret") as coordinator:
            assert coordinator.execute_command("ACL", "USERS") == [b"coordinator", b"default"]
            coordinator.execute_command("ACL", "SETUSER", "w-1", "on", "nopass", "~gpu.x", "+brpop")
            for refused in ("CONFIG GET *", "FLUSHALL", "SHUTDOWN", "KEYS *", "REPLICAOF NO ONE", "DEBUG SLEEP 0"):
                with pytest.raises(redis.exceptions.ResponseError):
                    coordinator.execute_command(*refused.split())
        kept = [path for path in tmp_path.iterdir() if "a-long-secret" in path.read_text()]
        assert kept == [] and all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())
    finally:
        process.kill()
        process.wait()
