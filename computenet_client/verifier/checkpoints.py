"""Checkpoints, and their signatures where `cryptography` is there to check them."""

import hashlib
from dataclasses import dataclass
from typing import Any

from .encoding import Bad, canonical, unhex

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    CAN_CHECK = False
else:
    CAN_CHECK = True

CONTEXT = b"computenet checkpoint v1\n"
FIELDS = ("size", "root", "created_at", "public_key", "signature")


@dataclass(frozen=True)
class Checkpoint:
    """A signed statement: the log's first `size` leaves have this root."""

    size: int
    root: str
    created_at: str
    public_key: str
    signature: str

    @classmethod
    def of(cls, document: Any) -> "Checkpoint":
        """From its object; what else is in it is left alone.

        Raises:
            Bad: it is none.
        """
        if not isinstance(document, dict) or not all(name in document for name in FIELDS):
            raise Bad(f"A checkpoint has {', '.join(FIELDS)}.")
        found = cls(*(document[name] for name in FIELDS))
        if type(found.size) is not int or found.size < 1 or not isinstance(found.created_at, str):
            raise Bad("A checkpoint's size is a whole number above 0, and its time is text.")
        unhex(found.root, 32), unhex(found.public_key, 32), unhex(found.signature, 64)
        return found

    @property
    def fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in FIELDS}

    def line(self) -> bytes:
        """As a line of an export, with a digest of itself, so that a damaged one is known without a signature."""
        return canonical(self.fields | {"sha256": hashlib.sha256(canonical(self.fields)).hexdigest()}) + b"\n"

    def require_signature(self) -> None:
        """Does nothing where signatures cannot be checked.

        Raises:
            Bad: the signature is not of this statement by this key.
        """
        if not CAN_CHECK:
            return
        stated = {"size": self.size, "root": self.root, "created_at": self.created_at}
        try:
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.public_key))
            key.verify(bytes.fromhex(self.signature), CONTEXT + canonical(stated))
        except (InvalidSignature, ValueError):
            raise Bad(f"The signature of the checkpoint of {self.size} leaves is not its key's.") from None
