"""The only file that sends notices out: mail, and signed webhooks to hosts that the operator lists."""

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.core.mail import EmailMessage
from django.utils.crypto import salted_hmac

TIMEOUT_SECONDS = (3, 5)  # to connect, and for the answer's first byte
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Undelivered(Exception):
    """It did not arrive; the message is one sentence."""


def problem_of(url: str) -> str:
    """Why nothing is sent to this address; "" where it may be."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "This is not an address."
    del port
    if parts.username or parts.password or parts.fragment:
        return "An address has no user, password or fragment here."
    if settings.SANDBOX and parts.scheme == "http" and host in LOOPBACK:
        return ""
    if parts.scheme != "https":
        return "The address must begin with https://."
    if host not in settings.WEBHOOK_HOSTS:
        return f"The operator does not list {host or 'this host'} among WEBHOOK_HOSTS; ask for it."
    return ""


def webhook_secret(user_id: int, salt: str) -> str:
    """What signs a user's webhooks. It is derived each time, so that no copy of the database holds it."""
    return salted_hmac("computenet.webhook", f"{user_id}:{salt}", algorithm="sha256").hexdigest()


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """HMAC-SHA256 of ``timestamp.body``, hex."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def send_webhook(*, url: str, secret: str, notice_id: str, document: Mapping[str, Any]) -> None:
    """POST a document. Redirects are not followed, and the answer's body is not read.

    Raises:
        Undelivered: the address is not allowed (any more), nobody answered, or the answer was no success.
    """
    if problem := problem_of(url):
        raise Undelivered(problem)
    body, timestamp = json.dumps(document).encode(), str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "computenet",
        "X-Computenet-Id": notice_id,
        "X-Computenet-Timestamp": timestamp,
        "X-Computenet-Signature": f"sha256={signature(secret, timestamp, body)}",
    }
    try:
        with requests.post(
            url, data=body, headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False, stream=True
        ) as answer:
            status = answer.status_code
    except (requests.RequestException, ValueError) as error:
        raise Undelivered(f"Nobody answered there ({type(error).__name__}).") from None
    if not 200 <= status < 300:
        raise Undelivered(f"It answered {status}.")


def send_mail(*, to: str, subject: str, text: str, notice_id: str) -> None:
    """
    Raises:
        Undelivered: the mail server did not take it.
    """
    headers = {"X-Computenet-Id": notice_id, "Auto-Submitted": "auto-generated"}
    try:
        EmailMessage(subject, text, to=[to], headers=headers).send()
    except (OSError, ValueError) as error:  # smtplib's errors are OSErrors
        raise Undelivered(f"The mail server did not take it ({type(error).__name__}).") from None
