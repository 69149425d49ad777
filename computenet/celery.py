"""The coordinator's Celery application: its queues, and the whole beat timetable (which `computenet.beat` keeps)."""

import os
from typing import Any

from celery import Celery
from kombu import Exchange, Queue

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "computenet.settings")

CYCLE_SECONDS = 5.0
SEAL_SECONDS = 5.0
SWEEP_DATA_SECONDS = 600.0

WIRING: dict[str, Any] = {
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_transport_options": {
        "health_check_interval": 5,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        # Sending gives up at once where Redis is away: a request must not wait, the next cycle sends again.
        "max_retries": 0,
        "interval_start": 0,
        "interval_step": 0,
    },
    "accept_content": ["json"],
    "task_serializer": "json",
    "task_ignore_result": True,
    "task_acks_late": True,
    "task_default_queue": "coordination",
    "task_queues": [
        Queue("coordination", Exchange("coordination"), routing_key="coordination"),
        Queue("verification", Exchange("verification"), routing_key="verification"),
        Queue("reading", Exchange("reading"), routing_key="reading"),  # takes minutes, which no check waits for
    ],
    "task_routes": {
        "marketplace.coordinate": {"queue": "coordination"},
        "marketplace.assign": {"queue": "coordination"},
        "marketplace.seal": {"queue": "coordination"},
        "marketplace.verify": {"queue": "verification"},
        "marketplace.verify_waiting": {"queue": "verification"},
        "marketplace.reverify": {"queue": "verification"},
        "marketplace.check_books": {"queue": "verification"},
        "marketplace.send_notices": {"queue": "verification"},
        "marketplace.read_upload": {"queue": "reading"},
        "marketplace.make_matrix": {"queue": "reading"},
        "marketplace.sweep_data": {"queue": "verification"},
    },
    "worker_hijack_root_logger": False,
    "worker_prefetch_multiplier": 1,
    "enable_utc": True,
    # A tick that nobody took before the next one is due is worth nothing.
    "beat_schedule": {
        "coordinate": {
            "task": "marketplace.coordinate",
            "schedule": CYCLE_SECONDS,
            "options": {"expires": CYCLE_SECONDS},
        },
        "seal": {"task": "marketplace.seal", "schedule": SEAL_SECONDS, "options": {"expires": SEAL_SECONDS}},
        "sweep-data": {
            "task": "marketplace.sweep_data",
            "schedule": SWEEP_DATA_SECONDS,
            "options": {"expires": SWEEP_DATA_SECONDS},
        },
    },
}
# Django's checks are the web process's and `migrate`'s; here they would read every page in, for nothing.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

app = Celery("computenet")
app.config_from_object("django.conf:settings", namespace="CELERY")  # read at first use: the broker's address
app.conf.update(WIRING)
app.set_default()  # in every thread, not only the one that imports this
app.autodiscover_tasks(["marketplace"])
