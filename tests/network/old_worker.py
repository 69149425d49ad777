"""The real worker, announcing the protocol of `ANNOUNCED_PROTOCOL`: ``celery -A tests.network.old_worker worker``.

A worker of protocol 1 names it when it enrols, and its calls name none.
"""

import os

import workers.client
import workers.enrolment
from workers.celery import app

__all__ = ["app"]

announced = int(os.environ["ANNOUNCED_PROTOCOL"])
workers.enrolment.PROTOCOL_VERSION = announced
workers.client.PROTOCOL_VERSION = announced
