"""Submits jobs that hold one token each, waits for a word, and ends them by the action, so many a second.

    python -m benchmarks.live_driver COUNT RATE

Prints a line when all are there, and then the monotonic clock after the commit of each ending. Where the machine cannot
keep up an ending comes late; none is left out.
"""

import sys
import time
import uuid

import django

django.setup()

from marketplace.actions import clients, jobs  # noqa: E402  Django must be set up before anything that has rows
from marketplace.actions.submissions import Submission  # noqa: E402


def main(count: int, rate: float) -> None:
    address = f"benchmark-{uuid.uuid4().hex[:8]}"
    clients.register_client(address=address, initial_balance=count, user=None)
    submission = Submission(client_address=address, model_type="linear_regression", reward=1)
    waiting = [jobs.submit(submission=submission, user=None).pk for _ in range(count)]
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.monotonic()
    for number, pk in enumerate(waiting):
        time.sleep(max(began + number / rate - time.monotonic(), 0))
        jobs.cancel(job_id=pk, user=None, actor="benchmark")
        print(time.monotonic(), flush=True)
    time.sleep(2)  # the last hint goes out from a thread of this process


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
