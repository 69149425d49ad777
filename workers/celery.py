"""The Celery app of a contributor's host: ``celery -A workers worker -l info``.

When the worker starts it enrols, and only then knows its broker and its one queue. No broker, no result backend and
no remote control are configured: a host consumes its own list and talks HTTP for everything else.
"""

import dataclasses
import logging
import os
import sys
from collections.abc import Callable
from typing import Any

from celery import Celery
from celery.signals import celeryd_init
from click import Option
from kombu import Exchange, Queue

from workers.agent import Agent, report_lost
from workers.compute import backends
from workers.device import choose_visible_gpu, find_device
from workers.enrolment import EnrolmentError, broker_problem, broker_url, enrol, say
from workers.home import Credentials, Home, HomeError
from workers.host import this_host
from workers.rehearsal import rehearse
from workers.settings import Settings, SettingsError, checked_url, read_key_file, read_settings

MEMORY_POLLING_SECONDS = 0.05

# Whoever enrols must not be led to another Celery's broker.
for variable in ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL"):
    os.environ.pop(variable, None)


class GPUHost(Celery):  # type: ignore[misc]
    """Celery without all that speaks to other workers: gossip, mingle, events, Celery's own heartbeats."""

    @property
    def Worker(self) -> Callable[..., Any]:
        base = super().Worker

        def build(**options: Any) -> Any:
            options |= dict.fromkeys(("without_gossip", "without_mingle", "without_heartbeat"), True)
            options |= dict.fromkeys(("task_events", "beat", "purge"), False)
            options |= dict.fromkeys(("queues", "exclude_queues", "autoscale"))
            options["concurrency"] = slots(options.get("concurrency"))
            return base(**options)

        return build


def chosen_pool(arguments: list[str]) -> str:
    """The pool that the command line names, threads where it names none.

    Celery takes its own default, prefork, for "not named", and then reads ``worker_pool``: so that has to be right.
    """
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if argument in ("-P", "--pool"):
            return following
        for prefix in ("--pool=", "-P"):
            if argument.startswith(prefix):
                return argument.removeprefix(prefix)
    return "threads"


def slots(concurrency: object) -> int:
    """How many assignments this host takes at a time; one where the command line leaves it to Celery."""
    if app.conf.worker_pool == "solo" or not isinstance(concurrency, int):
        return 1
    return max(concurrency, 1)


app = GPUHost("workers", fixups=(), include=["workers.tasks"])  # no fixups: the only one is Django's
app.conf.update(
    worker_pool=chosen_pool(sys.argv),
    worker_concurrency=1,
    worker_prefetch_multiplier=1,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    worker_hijack_root_logger=True,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_soft_shutdown_timeout=10,
    task_acks_late=True,
    task_reject_on_worker_lost=False,
    task_ignore_result=True,
    task_create_missing_queues=False,
    task_default_exchange="",
    result_backend=None,
    accept_content=["json"],
    task_serializer="json",
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={
        "ack_emulation": False,
        "priority_steps": [0],
        "health_check_interval": 5,
        "socket_timeout": 30,
        "socket_connect_timeout": 10,
        "socket_keepalive": True,
        "polling_interval": 1,  # seconds; also how long a stop may have to wait
    },
)
app.user_options["worker"].add(Option(("--server",), help="The coordinator's address; else COMPUTENET_URL."))
app.user_options["worker"].add(Option(("--key-file",), help="A file with the enrolment key; else COMPUTENET_KEY."))
app.user_options["worker"].add(
    Option(("--dry-run",), is_flag=True, help="Check everything, measure this machine, and end without enrolling.")
)
app.steps["worker"].add(Agent)
for name in ("celery.worker.strategy", "celery.app.trace"):  # what becomes of an assignment, `workers` says itself
    logging.getLogger(name).setLevel(logging.WARNING)
choose_visible_gpu(os.environ.get("COMPUTENET_DEVICE", ""))


@celeryd_init.connect  # type: ignore[untyped-decorator]
def become_worker(conf: Any, options: dict[str, Any], **_: Any) -> None:
    """Enrol, and tell Celery the broker and the queue that came of it; end the process where that cannot be."""
    if sys.platform == "win32":
        sys.exit(
            "computenet: Windows itself is not supported; run the worker in WSL 2 (wsl --install), where it works."
        )
    try:
        if options.get("dry_run"):
            settings = _settings(options)
            Home(settings.home)
            sys.exit(0 if rehearse(settings, backends()[0], say) else 1)
        credentials, settings = _enrolled(conf, options)
    except (SettingsError, HomeError, EnrolmentError) as problem:
        sys.exit(f"computenet: {problem}")
    queue = credentials.queue
    conf.task_default_queue = conf.task_default_routing_key = queue
    conf.task_queues = [Queue(queue, Exchange(""), routing_key=queue)]  # type: ignore[no-untyped-call]
    conf.broker_url = broker_url(credentials, settings)
    if credentials.transport == "https":
        # Heartbeats bring the work, and a broker within this process hands it to the pool.
        conf.broker_transport_options = {"polling_interval": MEMORY_POLLING_SECONDS}
        say("work comes over HTTPS, with the replies of heartbeats.")
    elif trouble := broker_problem(conf.broker_url):
        say(trouble)


def _enrolled(conf: Any, options: dict[str, Any]) -> tuple[Credentials, Settings]:
    """Claim this host's folder and become a worker.

    Raises:
        SettingsError, HomeError, EnrolmentError
    """
    settings = _settings(options)
    home = Home(settings.home)
    home.claim()
    device, sentence = find_device(settings, backends()[0].name)
    say(f"this host: {sentence}")
    forks = conf.worker_pool == "prefork" and options.get("pool_start_method") != "spawn"
    if forks and device["backend"] != "numpy":
        raise SettingsError(
            "A GPU cannot be used from forked processes; leave out --pool, or add --pool-start-method spawn."
        )
    credentials = enrol(settings, home, device, options["concurrency"])
    host = this_host()
    host.spool.clean()
    report_lost(host, lambda process: False)  # whatever an earlier process had in hand
    host.board.clear()
    host.cache.clean()
    return credentials, settings


def _settings(options: dict[str, Any]) -> Settings:
    """The environment, and what the command line says instead.

    Raises:
        SettingsError
    """
    settings = read_settings()
    if options.get("server"):
        settings = dataclasses.replace(settings, url=checked_url(options["server"]))
    if options.get("key_file"):
        settings = dataclasses.replace(settings, key=read_key_file(options["key_file"]))
    return settings
