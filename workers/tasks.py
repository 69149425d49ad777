"""The one task of a contributor's Celery worker: compute an assignment and put the answer into the spool."""

import logging
import time
from typing import Any

from workers.catalog.base import Cancelled, Float
from workers.celery import app
from workers.client import Refused, Unavailable
from workers.compute import Failed, backends, check_specification, compute, fits_in_memory
from workers.datasets import NoRoom, WrongMatrix
from workers.host import Host, this_host
from workers.limits import Limits, OutOfMemory, kill_if_child
from workers.protocol import TASK_NAME, Specification
from workers.running import HandedBack, InHand, OutOfTime, usable_id

log = logging.getLogger(__name__)

START_SECONDS = 8.0  # the coordinator gives an assignment elsewhere that does not start within ten
TOO_LONG = "The worker did not finish within the time limit."
SLOWEST_BYTES_A_SECOND = 100_000.0  # of a line over which fetching may still take as long as it takes
WORKING_COPIES = 2  # of the data, that a fit may take beside the file itself


@app.task(name=TASK_NAME, ignore_result=True)  # type: ignore[untyped-decorator]
def run_assignment(assignment: object) -> None:
    """Compute `assignment`, unless it is dead, in hand or done already. Nothing is returned through Celery."""
    host = this_host()
    if not isinstance(assignment, str) or not usable_id(assignment):
        log.warning("A message that names no assignment is dropped.")
        return
    if aside := host.board.aside:
        log.info("Assignment %s is not taken: this worker stands aside (%s).", assignment, aside)
        return
    if host.board.draining:
        log.info("Assignment %s is not taken: this worker is being drained.", assignment)
        return
    if host.board.holds(assignment) or host.spool.holds(assignment):
        log.info("Assignment %s is in hand already.", assignment)
        return
    try:
        spec = _start(host, assignment)
    except Refused as refusal:
        log.info("Assignment %s is not started: %s", assignment, refusal.sentence)
        return
    except Unavailable as problem:
        log.warning("Assignment %s is left to others: %s", assignment, problem)
        return
    _work(host, spec)


def _start(host: Host, assignment: str) -> Specification:
    answer: Any = host.starts.begin(assignment, START_SECONDS)
    spec: Specification = answer
    if spec.get("assignment") != assignment or type(spec.get("fence")) is not int:
        raise Refused(200, "The coordinator started another assignment than this one.")
    return spec


def _work(host: Host, spec: Specification) -> None:
    """Compute what `spec` asks for; whatever comes of it goes into the spool, or nowhere if nobody wants it."""
    assignment, fence = spec["assignment"], spec["fence"]
    hand: InHand | None = None
    try:
        hand = host.board.take(assignment, fence, float(spec["limits"]["seconds"]))
        _compute_into_spool(host, spec, hand)
    except OutOfTime:
        log.warning("Assignment %s took longer than its %s s.", assignment, spec["limits"]["seconds"])
        host.spool.put_failure(assignment, fence, "worker", TOO_LONG)
    except OutOfMemory:
        log.warning("Assignment %s took more than its %s bytes.", assignment, spec["limits"]["memory_bytes"])
        host.spool.put_failure(assignment, fence, "worker", "The fit took more memory than the job's limit.")
    except HandedBack:
        log.info("Assignment %s is handed back.", assignment)
        host.spool.put_failure(
            assignment, fence, "system", "The owner of the machine needs it; the job is handed back."
        )
    except Cancelled:
        log.info("Assignment %s was cancelled.", assignment)
    except Failed as failure:
        log.warning("Assignment %s failed (%s): %s", assignment, failure.fault, failure)
        host.spool.put_failure(assignment, fence, failure.fault, str(failure))
    except Exception as problem:
        log.exception("Assignment %s failed.", assignment)
        kind = type(problem).__name__
        host.spool.put_failure(assignment, fence, "system", f"The worker stumbled over an error of its own ({kind}).")
    finally:
        if hand is not None:
            hand.close()


def _compute_into_spool(host: Host, spec: Specification, hand: InHand) -> None:
    model = check_specification(spec)
    size_bytes = spec["matrix"]["size_bytes"]
    if not fits_in_memory(size_bytes * WORKING_COPIES):
        raise Failed("worker", f"The data take {size_bytes} bytes, and the worker has not the memory to fit them.")

    try:
        matrix = host.cache.find(spec["matrix"])
        if matrix is None:
            matrix = _fetch(host, spec, hand)
    except WrongMatrix as problem:
        raise Failed("system", str(problem)) from problem
    except NoRoom as problem:
        raise Failed("worker", str(problem)) from problem
    except (Unavailable, Refused) as problem:
        raise Failed("system", f"The worker could not fetch the data: {problem}") from problem

    def give_up() -> None:
        log.error("Assignment %s is stuck past its time limit and is given up.", spec["assignment"])
        host.spool.put_failure(spec["assignment"], spec["fence"], "worker", TOO_LONG)
        kill_if_child()

    started_at = time.perf_counter()
    with Limits(hand.seconds_left, spec["limits"]["memory_bytes"], give_up, lambda: not host.board.aside):
        answer = compute(spec, model, matrix, backends(), hand)
    seconds = time.perf_counter() - started_at
    hand.stop_if_dead()  # a fit that reports no progress learns of it only now
    host.spool.put_result(spec["assignment"], spec["fence"], answer, seconds)
    log.info("Assignment %s (%s) took %.3f s.", spec["assignment"], spec["model"], seconds)


def _fetch(host: Host, spec: Specification, hand: InHand) -> Float:
    """The data, which this host's cache lacks.

    The time limit is for computing: a slow line must not use it up. Heartbeats renew the lease meanwhile.

    Raises:
        WrongMatrix, NoRoom, Unavailable, Refused
    """
    size_bytes = spec["matrix"]["size_bytes"]

    def fetched(so_far: int) -> None:
        hand(0.0, f"fetching the data, {so_far / 1e6:.1f} of {size_bytes / 1e6:.1f} MB")

    hand.allow(hand.seconds_left + size_bytes / SLOWEST_BYTES_A_SECOND, "fetching the data")
    matrix = host.cache.open(spec["matrix"], host.client, fetched)
    hand.allow(float(spec["limits"]["seconds"]), "computing")
    return matrix
