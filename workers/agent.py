"""The threads beside the pool: the heartbeat, and the outbox. They run through outages of the broker."""

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import bootsteps
from celery.signals import task_received, worker_shutdown
from celery.worker import state
from kombu import Exchange, Queue

from workers.challenge import Challenger
from workers.client import Refused, Unavailable, clean_line
from workers.compute import backends
from workers.device import Gauge
from workers.home import Credentials
from workers.host import Host, this_host
from workers.outbox import Outbox
from workers.owner import Owner
from workers.protocol import TASK_NAME, HeartbeatRequest
from workers.running import usable_id

log = logging.getLogger(__name__)

SHORTEST_SECONDS, LONGEST_SECONDS = 0.1, 60.0
ANSWER_SECONDS = 5.0
SOON_SECONDS = 0.25  # in which a coordinator that has an answer usually finds the next job
MOST_NAMED = 256  # assignments that one reply may bring
FLUSH_SECONDS = 10.0


class Heartbeat(threading.Thread):
    """Renews the leases of what is in hand and does what the replies ask.

    A thread of its own, because neither a fit nor Celery's event loop leaves time for it while they are busy.
    """

    def __init__(
        self, host: Host, gauge: Gauge, challenger: Challenger, take: Callable[[str], None] | None = None
    ) -> None:
        """`take` hands an assignment to the pool, where heartbeats bring them."""
        super().__init__(name="heartbeat", daemon=True)
        self.host = host
        self.gauge = gauge
        self.challenger = challenger
        self.take = take
        self._taken: set[str] = set()
        self._dropped: list[str] = []  # what the coordinator is still to be told of
        self._hurried = threading.Event()
        self.seconds = _pause(host.credentials.heartbeat_seconds)
        self._ending = threading.Event()
        self._trouble = self._upgrade = ""

    def run(self) -> None:
        next_at = time.monotonic()
        while not self._over(next_at):
            next_at = time.monotonic() + self.seconds
            try:
                self.beat()
                if self._trouble:
                    log.info("The coordinator answers heartbeats again.")
                self._trouble = ""
            except Unavailable as problem:
                self._tell(f"No heartbeat got through: {problem}")
            except Refused as refusal:
                if refusal.status == 401:
                    self._tell("The coordinator no longer knows this worker; enrol it again with a new key.")
                else:
                    self._tell(f"The coordinator refuses heartbeats: {refusal.sentence}")
            except Exception:
                log.exception("The heartbeat stumbled and goes on.")

    def close(self) -> None:
        self._ending.set()
        self._hurried.set()

    def hurry(self) -> None:
        """This host is free again: where heartbeats bring the work, ask for more as soon as there may be some."""
        if self.take is not None:
            self._hurried.set()

    def speak(self) -> None:
        """Something is to be said before the next heartbeat's time."""
        self._hurried.set()

    def _over(self, next_at: float) -> bool:
        """Wait for the next heartbeat's time; True where there is to be none."""
        if self._hurried.wait(max(next_at - time.monotonic(), 0.0)):
            self._hurried.clear()
            return self._ending.wait(SOON_SECONDS)
        return self._ending.is_set()

    def beat(self) -> None:
        """Send one heartbeat and obey its reply.

        Raises:
            Unavailable, Refused
        """
        board, spool = self.host.board, self.host.spool
        # The board first: what moves from there to the spool meanwhile is seen twice rather than not at all.
        report_lost(self.host, _is_alive)
        in_hand = {beat["assignment"]: beat for beat in board.beats()}
        in_hand |= {beat["assignment"]: beat for beat in spool.beats()}
        load, memory_free_bytes, temperature_celsius = self.gauge.read()
        request = HeartbeatRequest(
            assignments=list(in_hand.values()),
            load=load,
            memory_free_bytes=memory_free_bytes,
            temperature_celsius=temperature_celsius,
        )
        if aside := board.aside:  # an older coordinator knows no such field
            request["aside"] = aside
        if self._dropped:  # only a coordinator that asks for it knows this one
            request["dropped"] = self._dropped
        reply = self.host.client.json("POST", "/worker/heartbeat", request, seconds=ANSWER_SECONDS)
        for assignment in in_hand.keys() & set(reply.get("cancel") or ()):
            if board.cancel(assignment):
                log.info("Assignment %s is dead and is stopped.", assignment)
            spool.drop(assignment)
        self._drop(reply.get("drop"))
        self._take_up(reply.get("take"))
        self._heed(reply.get("upgrade"))
        self.host.offer.hear(reply.get("together"))
        drain = reply.get("drain") is True
        if drain != board.draining:
            log.warning("The coordinator drains this worker." if drain else "The coordinator gives work again.")
            board.drain(drain)
        self.seconds = _pause(reply.get("heartbeat_seconds"), self.seconds)
        if not in_hand and not drain and not aside:
            self.challenger.offer(reply.get("challenge"))

    def _drop(self, named: object) -> None:
        """Delete the copies of data that are gone on the network."""
        wanted = named[:MOST_NAMED] if isinstance(named, list) else []
        self._dropped = [sha256 for sha256 in wanted if self.host.cache.drop(sha256)]
        if self._dropped:
            log.info("%d matrices were deleted on the network; this host's copies are gone.", len(self._dropped))

    def _take_up(self, named: object) -> None:
        """Hand each named assignment to the pool once; the coordinator names it until it is started or dead."""
        if self.take is None or not isinstance(named, list):
            return
        usable = [assignment for assignment in named[:MOST_NAMED] if usable_id(assignment)]
        for assignment in usable:
            if assignment not in self._taken:
                self.take(assignment)
        self._taken = set(usable)

    def _heed(self, upgrade: object) -> None:
        """Say once what the coordinator says of this worker's version."""
        said = clean_line(upgrade) if isinstance(upgrade, str) else ""
        if said and said != self._upgrade:
            log.warning("%s", said)
        self._upgrade = said

    def _tell(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.error("%s", trouble)
        self._trouble = trouble


def report_lost(host: Host, alive: Callable[[int], bool]) -> None:
    """Say of assignments whose process was killed that they failed, so that others get them at once.

    One whose answer is in the spool already is none of them.
    """
    for assignment, fence in host.board.lost(alive):
        if not host.spool.holds(assignment):
            log.error("Assignment %s was lost: the process that computed it was killed.", assignment)
            host.spool.put_failure(assignment, fence, "worker", "The worker's process was killed while it computed.")


class Agent(bootsteps.StartStopStep):  # type: ignore[misc]
    """Starts the threads once the pool is there, and ends them after it, when the last task has ended."""

    requires = {"celery.worker.components:Pool"}

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self.threads: tuple[Heartbeat, Outbox, Owner] | None = None

    def start(self, worker: Any) -> None:
        host = this_host()
        forks = worker.app.conf.worker_pool == "prefork"
        challenger = Challenger(host, backends()[0])
        heartbeat = Heartbeat(host, Gauge(host.settings), challenger, _taker(worker.app, host.credentials))
        outbox = Outbox(
            host.spool,
            host.client,
            host.offer,
            elsewhere=lambda: forks and bool(state.requests),
            delivered=heartbeat.hurry,
        )
        owner = Owner(host.settings, host.board, backends()[0], heartbeat.speak)
        host.starts.rest.slots = outbox.rest.slots = worker.concurrency
        self.threads = (heartbeat, outbox, owner)
        # A step is told to stop while the pool's last tasks still run, so the end is taken from this signal instead.
        worker_shutdown.connect(self._end, weak=False)
        if forks:
            task_received.connect(self._wake, weak=False)
        for thread in self.threads:
            thread.start()

    def stop(self, worker: Any) -> None:
        """Nothing yet: tasks that still run need their heartbeat."""

    terminate = stop

    def _wake(self, **_: Any) -> None:
        """A child begins to compute: the outbox is to look again and again at what it writes."""
        this_host().spool.written.set()

    def _end(self, **_: Any) -> None:
        if self.threads is not None:
            heartbeat, outbox, owner = self.threads
            owner.close()
            outbox.close(FLUSH_SECONDS)
            heartbeat.close()


def _taker(app: Any, credentials: Credentials) -> Callable[[str], None] | None:
    """Puts a message into this process's own broker, just as the coordinator would into Redis; None where it does."""
    if credentials.transport != "https":
        return None
    name = credentials.queue
    queue = Queue(name, Exchange(""), routing_key=name)  # type: ignore[no-untyped-call]

    def take(assignment: str) -> None:
        app.send_task(TASK_NAME, [assignment], task_id=assignment, declare=(), queue=queue)

    return take


def _is_alive(process: int) -> bool:
    """Does this process, or a child of its pool, still run?"""
    if process == os.getpid():
        return True
    try:
        os.kill(process, 0)
        # A killed child keeps its id until its parent notices, which takes Celery up to five seconds.
        return ") Z " not in Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    except (ProcessLookupError, PermissionError):  # the second: the id went to somebody else's process
        return False
    except OSError:  # a system without /proc
        return True


def _pause(seconds: object, otherwise: float = 2.0) -> float:
    if not isinstance(seconds, int | float) or not seconds > 0:
        return otherwise
    return min(max(float(seconds), SHORTEST_SECONDS), LONGEST_SECONDS)
