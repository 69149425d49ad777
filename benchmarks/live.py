"""What open pages cost: many sockets on a real web process while jobs end, and how long a commit takes to every page.

    python -m benchmarks.live [--sockets 200] [--rate 20] [--seconds 300] [--many 1000]

Web (uvicorn), Redis and database are real, and on this machine's loopback alone; jobs are submitted and ended by the
actions themselves, in a process of their own. Each open job holds one token, so that a page's "Contract balance" says
how many have ended: what is measured is the time from an ending's commit to the first message whose figure has it.
"""

import argparse
import asyncio
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect

from computenet.sandbox.embedded_redis import EmbeddedRedis, free_port

ROOT = Path(__file__).resolve().parents[1]
FIGURE = re.compile(r'data-figure="contract_balance">([\d,]+)')
PATIENCE_SECONDS = 15.0
TICK_HZ = os.sysconf("SC_CLK_TCK")


@dataclass
class Page:
    """One open page, and when it first said that so many jobs had ended."""

    seen: list[tuple[float, int]] = field(default_factory=list)  # (when, tokens still held)
    bytes: int = 0


@dataclass(frozen=True)
class Outcome:
    sockets: int
    ended: int
    lost: int  # endings that a page never showed, over all pages
    latencies: list[float]  # seconds, one for each page and ending
    memory_bytes: list[int]  # of the web process, every second
    cpu_share: float  # of one core, the web process's
    bytes_a_second: float  # to one page, after the protocol's compression is undone

    def at(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else float("nan")

    def __str__(self) -> str:
        third = max(len(self.memory_bytes) // 3, 1)
        first, last = (sum(part) / third / 2**20 for part in (self.memory_bytes[:third], self.memory_bytes[-third:]))
        most = max(self.memory_bytes) / 2**20
        return (
            f"{self.sockets} sockets, {self.ended} jobs ended: lost {self.lost}; commit to page median "
            f"{self.at(0.5):.2f} s, 99th percentile {self.at(0.99):.2f} s; web memory {first:.0f} MiB in the first "
            f"third, {last:.0f} in the last, {most:.0f} at most; web CPU {self.cpu_share:.0%} of a core; "
            f"{self.bytes_a_second / 1024:.1f} KiB a second to a page"
        )


def memory(pid: int) -> int:
    line = next(each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if each.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def cpu_seconds(pid: int) -> float:
    parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / TICK_HZ


def run(url: str, web: int, environment: dict[str, str], *, sockets: int, rate: float, seconds: float) -> Outcome:
    """Open `sockets` pages of the web process `web` at `url`, end `rate` jobs a second, and see what arrives.

    The web must run in sandbox mode on `environment`'s database and Redis, with no job open.
    """
    return asyncio.run(_run(url, web, environment, sockets, rate, seconds))


async def _run(url: str, web: int, environment: dict[str, str], sockets: int, rate: float, seconds: float) -> Outcome:
    count = int(rate * seconds)
    driver = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.live_driver", str(count), str(rate),
        cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert driver.stdin and driver.stdout
    await driver.stdout.readline()  # all jobs are there
    pages = [Page() for _ in range(sockets)]
    readers, connections = [], []
    for page in pages:
        connection = await connect(f"{url.replace('http', 'ws', 1)}/live/home/", max_size=None, ping_interval=None)
        connections.append(connection)
        readers.append(asyncio.create_task(_read(connection, page)))
    await _until(lambda: all(page.seen for page in pages))
    before, began, memories = cpu_seconds(web), time.monotonic(), []
    received = sum(page.bytes for page in pages)
    driver.stdin.write(b"go\n")
    ends: list[float] = []

    async def listen() -> None:
        assert driver.stdout
        while line := await driver.stdout.readline():
            ends.append(float(line))

    listener = asyncio.create_task(listen())
    while not listener.done():
        memories.append(memory(web))
        await asyncio.wait([listener], timeout=1)
    await driver.wait()
    took, used = time.monotonic() - began, cpu_seconds(web) - before
    received = sum(page.bytes for page in pages) - received
    await _until(lambda: all(page.seen[-1][1] == 0 for page in pages), raises=False)
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*(connection.close() for connection in connections))
    latencies, lost = _latencies(pages, ends, count)
    share = received / took / max(sockets, 1)
    return Outcome(sockets, len(ends), lost, latencies, memories, used / took, share)


def _latencies(pages: list[Page], ends: list[float], count: int) -> tuple[list[float], int]:
    latencies, lost = [], 0
    for page in pages:
        shown = iter(page.seen)
        at, held = next(shown)
        for number, ended_at in enumerate(ends, 1):
            while held > count - number:
                following = next(shown, None)
                if following is None:
                    break
                at, held = following
            if held > count - number:
                lost += 1
            else:
                latencies.append(max(at - ended_at, 0.0))
    return latencies, lost


async def _read(connection: ClientConnection, page: Page) -> None:
    async for message in connection:
        assert isinstance(message, str)
        page.bytes += len(message)
        if found := FIGURE.search(message):
            page.seen.append((time.monotonic(), int(found[1].replace(",", ""))))


async def _until(what, raises: bool = True) -> None:
    ends_at = time.monotonic() + PATIENCE_SECONDS
    while not what():
        if time.monotonic() > ends_at:
            if raises:
                raise RuntimeError(f"not within {PATIENCE_SECONDS:g} s")
            return
        await asyncio.sleep(0.05)


@contextmanager
def network(folder: Path) -> Iterator[tuple[str, int, dict[str, str]]]:
    """A web process with a Redis and a migrated database of its own: its address, its id, its environment."""
    redis = EmbeddedRedis.plan(folder / "redis")
    port = free_port()
    environment = {
        **os.environ,
        "COMPUTENET_SANDBOX": "1",
        "COMPUTENET_HOME": str(folder),
        "DATABASE_URL": os.environ.get("DATABASE_URL") or f"sqlite:///{folder / 'db.sqlite3'}",
        "REDIS_URL": redis.url,
        "SECRET_KEY": "for this run only",
        "DJANGO_SETTINGS_MODULE": "computenet.settings",
        "POLICY_OPEN_JOBS_PER_CLIENT": "1000000",
        "LOG_LEVEL": "WARNING",
    }
    (folder / "static").mkdir()
    started = [subprocess.Popen(redis.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)]
    try:
        redis.wait_until_up()
        subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], cwd=ROOT, env=environment, check=True)
        command = [sys.executable, "-m", "uvicorn", "computenet.asgi:application", "--lifespan", "off"]
        command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
        started.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL))
        url = f"http://127.0.0.1:{port}"
        asyncio.run(_answers(port))
        yield url, started[-1].pid, environment
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()


async def _answers(port: int) -> None:
    ends_at = time.monotonic() + 60
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        except OSError:
            if time.monotonic() > ends_at:
                raise
            await asyncio.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sockets", type=int, default=200)
    parser.add_argument("--rate", type=float, default=20, help="jobs that end a second")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--many", type=int, default=1000, help="sockets of a second, shorter run; 0 leaves it out")
    given = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard > soft else soft, hard))
    with tempfile.TemporaryDirectory(prefix="computenet-live-") as folder, network(Path(folder)) as (url, web, env):
        idle = memory(web)
        print(run(url, web, env, sockets=given.sockets, rate=given.rate, seconds=given.seconds), flush=True)
        if given.many:
            before = memory(web)
            many = run(url, web, env, sockets=given.many, rate=given.rate, seconds=min(given.seconds, 30))
            more = (max(many.memory_bytes) - before) / given.many / 1024
            print(many)
            print(f"A socket takes {more:.0f} KiB of the web's memory; it had {idle / 2**20:.0f} MiB without any.")


if __name__ == "__main__":
    main()
