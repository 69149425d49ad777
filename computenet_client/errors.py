"""What can go wrong, each with one sentence that says what to do."""

from collections.abc import Mapping
from typing import Any


class ComputenetError(Exception):
    """The base of all errors of this package."""


class Unreachable(ComputenetError):
    """The network gave no answer, or none that can be understood, for as long as calls are repeated."""


class Refused(ComputenetError, ValueError):
    """The network (or this package, before it asked) refused a request; nothing was changed.

    `status` is the HTTP status, 0 where no request was sent.
    """

    def __init__(self, sentence: str, status: int = 0) -> None:
        super().__init__(sentence)
        self.status = status


class NotAllowed(Refused):
    """There is no key, or the key does not open this (HTTP 401 and 403)."""


class NotFound(Refused):
    """There is no such thing, or it is another's (HTTP 404)."""


class NotReady(ComputenetError):
    """The job has no result yet."""


class WaitTimeout(ComputenetError, TimeoutError):
    """The job had not ended in the time that `Job.wait` was given. It goes on."""


class JobEnded(ComputenetError):
    """The job ended without a result: it failed or was cancelled. `info` is its last status."""

    def __init__(self, sentence: str, info: Mapping[str, Any]) -> None:
        super().__init__(sentence)
        self.info = dict(info)


class VerificationFailed(ComputenetError):
    """A receipt does not agree with what it is a receipt for."""
