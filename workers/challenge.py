"""Showing the coordinator how fast this host multiplies matrices, while it has nothing else to do."""

import base64
import logging
import re
import threading
import time
from typing import Any

from workers.catalog.backend import Backend
from workers.catalog.base import Cancelled
from workers.catalog.matrix_rate import SEED_BYTES, Run, check_size, leaf_count
from workers.client import Refused, Unavailable
from workers.host import Host
from workers.protocol import ChallengeOpening, ChallengeRoot, OpenedColumn

log = logging.getLogger(__name__)

WARM_UP = (512, 16)  # n, rounds: loads the device's libraries before the clock starts
PERSIST_SECONDS = 20.0
CHECK_SECONDS = 30.0  # that the coordinator may take to recompute what was opened


class Challenger:
    """Runs one challenge at a time, in a thread of its own: a heartbeat must not wait for it."""

    def __init__(self, host: Host, backend: Backend) -> None:
        self._host, self._backend = host, backend
        self._thread: threading.Thread | None = None
        self._warm = backend.name == "numpy"  # nothing to load

    def offer(self, challenge: object) -> None:
        """Take up `challenge`, as a heartbeat's reply names it, unless one is running."""
        if not isinstance(challenge, str) or not re.fullmatch(r"[0-9a-f-]{36}", challenge):
            return
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, args=(challenge,), name="challenge", daemon=True)
            self._thread.start()

    def _run(self, challenge: str) -> None:
        try:
            if not self._warm:
                Run(bytes(SEED_BYTES), *WARM_UP, self._backend).root()
                self._warm = True
            outcome = take(challenge, self._host, self._backend)
        except (Refused, Unavailable) as problem:
            log.info("The measurement of this host was broken off: %s", problem)
        except Cancelled:
            log.warning("The measurement of this host took too long, or a job came; it was broken off.")
        except Exception:  # out of memory, say: each array library has errors of its own
            log.exception("The measurement of this host failed.")
        else:
            log.info("This host was measured: %s%s", outcome["reason"], ", doubted." if outcome["doubted"] else ".")


def take(challenge: str, host: Host, backend: Backend) -> dict[str, Any]:
    """Compute `challenge` and open what it asks for; the coordinator's `ChallengeOutcome`.

    Raises:
        Refused, Unavailable: the coordinator's word, or what answers is not one.
        Cancelled: the time is up, or a job is in hand.
    """
    path = f"/worker/challenge/{challenge}"
    start = host.client.json("POST", f"{path}/start", {})
    ends_at = time.monotonic() + _positive(start.get("seconds"))

    def stopped() -> None:
        if time.monotonic() > ends_at or host.board.beats() or host.board.aside:
            raise Cancelled

    try:
        check_size(start["n"], start["rounds"])
        run = Run(bytes.fromhex(start["seed"]), start["n"], start["rounds"], backend)
        root = ChallengeRoot(root=run.root(stopped).hex())
        answer = host.client.json("POST", f"{path}/commit", root, persist_seconds=PERSIST_SECONDS)
        leaves = [int(leaf) for leaf in answer["columns"]]
        if not all(0 <= leaf < leaf_count(run.n, run.rounds) for leaf in leaves):
            raise ValueError("columns that are none")
    except (KeyError, TypeError, ValueError) as problem:
        raise Refused(200, "The coordinator's challenge is not of this protocol.") from problem
    opening = ChallengeOpening(
        columns=[
            OpenedColumn(leaf=leaf, data=base64.b64encode(data).decode(), path=base64.b64encode(beside).decode())
            for leaf, (data, beside) in run.open(leaves).items()
        ]
    )
    return host.client.json("POST", f"{path}/open", opening, seconds=CHECK_SECONDS)


def _positive(seconds: object) -> float:
    return float(seconds) if isinstance(seconds, int | float) and seconds > 0 else 0.0
