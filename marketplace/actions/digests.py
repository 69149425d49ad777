"""What is kept of a secret."""

import hashlib


def digest(secret: str) -> str:
    """Its SHA-256. Secrets here have 190 random bits or more, so a plain hash is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()
