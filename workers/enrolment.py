"""How a host becomes a worker of the network: once with a key, after that with what it kept."""

import dataclasses
import logging
import math
import re
import socket
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import redis

from workers.catalog import MODELS
from workers.client import Client, Refused, Unavailable
from workers.home import Credentials, Home, key_digest
from workers.protocol import PROTOCOL_VERSION, Device, EnrolReply, EnrolRequest
from workers.settings import Settings

log = logging.getLogger(__name__)

LONGEST_PAUSE_SECONDS = 15.0
BROKER_SECONDS = 5.0
_TEXTS = ("worker", "worker_id", "secret", "queue")


class EnrolmentError(RuntimeError):
    """This host cannot become a worker as things stand. The message is one sentence that says what to do."""


def say(sentence: str) -> None:
    """Tell whoever started the process; Celery's logging is not set up yet when a host enrols."""
    print(f"computenet: {sentence}", file=sys.stderr, flush=True)


def enrol(
    settings: Settings, home: Home, device: Device, slots: int, *, pause: Callable[[float], None] = time.sleep
) -> Credentials:
    """The credentials of this host: kept ones, or new ones for its enrolment key, which are then kept.

    Waits for as long as the coordinator cannot be reached, unless there are kept credentials to go on with.

    Raises:
        EnrolmentError
    """
    kept = home.credentials()
    if kept is not None and (not settings.key or kept.key_digest == key_digest(settings.key)):
        return _enrol_again(kept, settings, home, device, slots)
    if not settings.url:
        raise EnrolmentError("Set COMPUTENET_URL (or --server) to the coordinator's address.")
    if not settings.key:
        raise EnrolmentError(
            "Set COMPUTENET_KEY (or --key-file) to an enrolment key; your account's page on the coordinator gives one."
        )
    reply = _ask(settings, _request(settings, device, slots), pause)
    credentials = _credentials(reply, settings.url, key_digest(settings.key))
    home.keep(credentials)
    say(f'enrolled at {settings.url} as worker "{credentials.worker_id}".')
    return credentials


def _request(settings: Settings, device: Device, slots: int) -> EnrolRequest:
    request = EnrolRequest(
        enrolment_key=settings.key,
        protocol=PROTOCOL_VERSION,
        catalog={name: model.version for name, model in MODELS.items()},
        device=device,
        slots=slots,
        hostname=settings.hostname or socket.gethostname(),
    )
    if settings.transport == "https":  # an older coordinator knows no such field
        request["transport"] = "https"
    return request


def _ask(settings: Settings, request: EnrolRequest, pause: Callable[[float], None]) -> dict[str, Any]:
    """Enrol with a key, again and again until the coordinator answers."""
    client = Client(settings.url, ca_file=settings.ca_file)
    wait_seconds, said = 0.25, ""
    while True:
        try:
            return client.json("POST", "/worker/enrol", request)
        except Unavailable as problem:
            if str(problem) != said:
                said = str(problem)
                say(f"{said} Check COMPUTENET_URL if this lasts; trying again until the coordinator is up.")
            pause(wait_seconds)
            wait_seconds = min(wait_seconds * 1.5, LONGEST_PAUSE_SECONDS)
        except Refused as refusal:
            raise EnrolmentError(_refusal(settings.url, refusal)) from refusal


def _refusal(url: str, refusal: Refused) -> str:
    if refusal.status == 403:
        return f"The coordinator refuses the enrolment key: {refusal.sentence}"
    if refusal.status in (409, 426):
        return f"This package does not fit the coordinator at {url}: {refusal.sentence}"
    if refusal.status == 400:
        return f"The coordinator at {url} refuses this host: {refusal.sentence}"
    return f"No coordinator enrols workers at {url} ({refusal.sentence.rstrip('.')}); check COMPUTENET_URL."


def _enrol_again(kept: Credentials, settings: Settings, home: Home, device: Device, slots: int) -> Credentials:
    """Tell the coordinator what this host is now, and learn where its Redis is now.

    The call carries the worker's secret and no key. Where the coordinator is down, or does not know the call, what
    was kept is enough.
    """
    kept = dataclasses.replace(kept, server=settings.url or kept.server)
    client = Client(kept.server, ca_file=settings.ca_file, authorization=kept.authorization)
    request = _request(dataclasses.replace(settings, key=""), device, slots)
    try:
        reply = client.json("POST", "/worker/enrol", request, seconds=5.0, persist_seconds=1.0)
        reply["secret"] = reply.get("secret") or kept.secret
        credentials = _credentials(reply, kept.server, kept.key_digest)
    except (Unavailable, Refused, EnrolmentError) as problem:
        log.debug("Not enrolled again: %s", problem)
        credentials = kept
    if credentials.worker != kept.worker:
        raise EnrolmentError(f"The coordinator at {kept.server} takes this host for another worker; enrol it anew.")
    home.keep(credentials)
    say(f'goes on as worker "{credentials.worker_id}" of {credentials.server}.')
    return credentials


def _credentials(reply: dict[str, Any], server: str, digest: str) -> Credentials:
    """Check an `EnrolReply`: what it names ends up in headers, in Redis and in the log."""
    usable = all(isinstance(reply.get(name), str) and 0 < len(reply[name]) <= 2000 for name in _TEXTS)
    usable = usable and re.fullmatch(r"[A-Za-z0-9-]{1,64}", reply["worker"]) is not None
    usable = usable and re.fullmatch(r"[\x21-\x7e]+", reply["secret"]) is not None
    usable = usable and re.fullmatch(r"[A-Za-z0-9._-]+", reply["queue"]) is not None
    seconds = reply.get("heartbeat_seconds")
    usable = usable and isinstance(seconds, int | float) and math.isfinite(seconds) and seconds > 0
    transport = reply.get("transport", "redis")
    broker: Any = reply.get("broker_url") if transport == "redis" else ""
    usable = usable and isinstance(broker, str) and len(broker) <= 2000 and transport in ("redis", "https")
    if not usable or (transport == "redis" and urlsplit(broker).scheme not in ("redis", "rediss")):
        raise EnrolmentError(f"What answers at {server} does not speak this protocol; upgrade this package.")
    answer: EnrolReply = {
        "worker": reply["worker"],
        "worker_id": re.sub(r"[\x00-\x1f\x7f]", "", reply["worker_id"]),
        "secret": reply["secret"],
        "queue": reply["queue"],
        "broker_url": broker,
        "heartbeat_seconds": float(reply["heartbeat_seconds"]),
        "transport": transport,
    }
    return Credentials(server=server, key_digest=digest, **answer)


def broker_url(credentials: Credentials, settings: Settings) -> str:
    """The broker's address with certificates checked, where it is reached over TLS; this process over HTTPS."""
    if credentials.transport == "https":
        return "memory://"
    parts = urlsplit(credentials.broker_url)
    if parts.scheme != "rediss":
        return credentials.broker_url
    query = dict(parse_qsl(parts.query))
    query |= {"ssl_cert_reqs": "required", "ssl_check_hostname": "true"}
    if settings.ca_file:
        query["ssl_ca_certs"] = settings.ca_file
    return urlunsplit(parts._replace(query=urlencode(query, quote_via=quote)))


def broker_problem(url: str) -> str | None:
    """One sentence on why the broker at `url` cannot be used now; None where it can."""
    parts = urlsplit(url)
    address = f"{parts.hostname}:{parts.port or 6379}"
    connection = redis.Redis.from_url(url, socket_timeout=BROKER_SECONDS, socket_connect_timeout=BROKER_SECONDS)
    try:
        connection.ping()
    except redis.exceptions.AuthenticationError:
        return f"Redis at {address} does not accept this worker; it may have been revoked, or its Redis restarted."
    except (redis.exceptions.RedisError, OSError) as problem:
        return (
            f"Redis at {address} cannot be reached ({problem}); jobs arrive once it can. Where a firewall lets only "
            "HTTPS out, start with COMPUTENET_TRANSPORT=https."
        )
    finally:
        connection.close()
    return None
