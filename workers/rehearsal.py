"""``celery -A workers worker --dry-run``: everything that a worker needs, looked at one by one, and a benchmark.

Nothing is enrolled: an enrolment key is good once, so whether the coordinator knows it shows only at the real start.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime

from workers.catalog.backend import Backend
from workers.catalog.matrix_rate import SEED_BYTES, Run
from workers.client import Client, Refused, Unavailable
from workers.device import find_device
from workers.enrolment import broker_problem, broker_url
from workers.home import Home
from workers.settings import Settings, SettingsError

CLOCK_SECONDS = 60.0  # that a machine's clock may be off: certificates are checked by it
BENCHMARK = (512, 64)  # n, rounds
Line = tuple[bool, str]


def rehearse(settings: Settings, backend: Backend, say: Callable[[str], None]) -> bool:
    """Look at everything, say each finding in a line, and answer whether a worker could start."""
    fine = True
    for check in (_device, _folder, _coordinator, _broker, _speed):
        for good, sentence in check(settings, backend):
            say(f"{'ok' if good else 'NOT OK'}: {sentence}")
            fine = fine and good
    say("all is well; leave out --dry-run to start." if fine else "this worker would not start well: see above.")
    return fine


def _device(settings: Settings, backend: Backend) -> Iterator[Line]:
    try:
        yield True, find_device(settings, backend.name)[1]
    except SettingsError as problem:
        yield False, str(problem)


def _folder(settings: Settings, backend: Backend) -> Iterator[Line]:
    free = shutil.disk_usage(settings.home).free
    enough = free >= settings.cache_bytes
    rest = "" if enough else "; set COMPUTENET_CACHE_BYTES lower, or free some"
    yield (
        enough,
        f"{settings.home} has {free / 1e9:.1f} GB free for a cache of {settings.cache_bytes / 1e9:.1f} GB{rest}.",
    )


def _coordinator(settings: Settings, backend: Backend) -> Iterator[Line]:
    kept = Home(settings.home).credentials()
    url = settings.url or (kept.server if kept else "")
    if not url:
        yield False, "COMPUTENET_URL (or --server) is not set to the coordinator's address."
        return
    try:
        with Client(url, ca_file=settings.ca_file).open("GET", "/health", seconds=10.0) as response:
            date = response.headers.get("Date", "")
    except (Unavailable, Refused) as problem:
        yield False, f"{problem} Check COMPUTENET_URL."
    else:
        yield True, f"the coordinator at {url} answers."
        yield clock(date, time.time())
    if kept is None and not settings.key:
        yield False, "there is no enrolment key: set COMPUTENET_KEY, or give --key-file."
    else:
        yield (
            True,
            f'enrolled as "{kept.worker_id}".' if kept else "an enrolment key is there; it is used at the start.",
        )


def clock(date: str, now: float) -> Line:
    """Is this machine's clock, at `now` (Unix seconds), right by the Date that the coordinator sent?"""
    try:
        off = now - parsedate_to_datetime(date).timestamp()
    except ValueError:
        return True, "the coordinator does not say what time it is."
    if abs(off) <= CLOCK_SECONDS:
        return True, "this machine's clock agrees with the coordinator's."
    side = "ahead of" if off > 0 else "behind"
    return (
        False,
        f"this machine's clock is {abs(off):.0f} s {side} the coordinator's; switch on time synchronisation (NTP).",
    )


def _broker(settings: Settings, backend: Backend) -> Iterator[Line]:
    kept = Home(settings.home).credentials()
    if kept is not None and kept.transport == "redis":
        trouble = broker_problem(broker_url(kept, settings))
        yield trouble is None, trouble or "Redis answers."


def _speed(settings: Settings, backend: Backend) -> Iterator[Line]:
    Run(bytes(SEED_BYTES), 64, 16, backend).root()  # loads the device's libraries before the clock starts
    n, rounds = BENCHMARK
    started_at = time.perf_counter()
    Run(bytes(SEED_BYTES), n, rounds, backend).root()
    seconds = time.perf_counter() - started_at
    yield True, f"it multiplies matrices at {2 * n**3 * rounds / seconds / 1e12:.3f} TFLOPS with {backend.name}."
