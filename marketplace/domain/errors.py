"""Refusals. Each message is one sentence for the person who asked, and nothing was changed."""


class Refused(Exception):
    """The request cannot be done as asked."""

    status = 400


class Forbidden(Refused):
    """Who asks may not."""

    status = 403


class NotFound(Refused):
    """There is no such thing, or it is not the asker's to see."""

    status = 404


class Conflict(Refused):
    """It was right once, or would be at another time: a fenced statement matched no row."""

    status = 409


class Gone(Refused):
    """The assignment is dead; its worker may drop what it holds."""

    status = 410


class KeyReused(Refused):
    """An idempotency key came again with another body."""

    status = 422


class NoRoom(Refused):
    """The network's disk is as full as it may get: what is there is served, nothing large is taken in."""

    status = 507


class InsufficientFunds(Refused):
    """An account does not hold what would be moved out of it."""
