"""The web process's sign of life, from a thread of its own."""

import logging
import threading
import time

from django.db import DatabaseError, connection

from marketplace.actions.pulse import note_web_alive

logger = logging.getLogger(__name__)

EVERY_SECONDS = 2.0


def beat() -> None:
    try:
        if gap := note_web_alive():
            logger.warning("Nobody could be heard for %.0f seconds; open leases were moved forward by them.", gap)
    except DatabaseError as problem:
        logger.warning("The database did not take the web process's sign of life: %s", problem)
    finally:
        connection.close_if_unusable_or_obsolete()


def start() -> None:
    threading.Thread(target=_run, name="pulse", daemon=True).start()


def _run() -> None:
    while True:
        beat()
        time.sleep(EVERY_SECONDS)
