"""Celery alone, to measure against: a task that does nothing, and one that says when all before it are done.

    python -m benchmarks.bare_celery COUNT

The broker's address is in BARE_CELERY_BROKER; BARE_CELERY_DONE names the file that the last task makes.
"""

import os
import sys
from pathlib import Path

from celery import Celery

app = Celery("bare", broker=os.environ.get("BARE_CELERY_BROKER"), fixups=())
app.conf.update(
    task_ignore_result=True, worker_prefetch_multiplier=1, task_acks_late=True, task_default_queue="coordination"
)


@app.task(name="bare.nothing")
def nothing() -> None:
    pass


@app.task(name="bare.done")
def done() -> None:
    Path(os.environ["BARE_CELERY_DONE"]).touch()


if __name__ == "__main__":
    for _ in range(int(sys.argv[1])):
        nothing.delay()
    done.delay()
