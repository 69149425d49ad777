"""Checkpoints: what the sealed log was at a size and a time, signed with Ed25519."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, Subquery
from django.db.models.functions import Coalesce

from marketplace.actions import sealing, tree
from marketplace.actions.locks import try_sealing
from marketplace.domain.encoding import canonical, moment
from marketplace.domain.errors import NotFound
from marketplace.models import Checkpoint, Leaf, Network, Unsealed, database_now

CONTEXT = b"computenet checkpoint v1\n"  # what is signed begins with it, so that no other signature passes for one
KEY_FILE = "log_key"


def seal_and_sign() -> int:
    """What the beat does: seal what waits, and sign a checkpoint where one is due. Answers how many rows it sealed."""
    last = Checkpoint.objects.values("size")[:1]
    unsigned = Leaf.objects.filter(number__gte=Coalesce(Subquery(last), 0))
    waits, grown = Network.objects.filter(pk=1).values_list(Exists(Unsealed.objects.all()), Exists(unsigned)).get()
    sealed = sealing.seal() if waits else 0
    if sealed or grown:
        make(after_seconds=settings.CHECKPOINT_SECONDS)
    return sealed


def make(*, after_seconds: float = 0) -> Checkpoint | None:
    """A checkpoint of all leaves, or None: where there are none since the last, which is at least so old, or another
    sealer is at it.

    Raises:
        NotFound, ValueError, OSError: as of `signing_key`.
    """
    key = signing_key()
    with transaction.atomic():
        if not try_sealing():
            return None
        now, size, last = database_now(), tree.size(), Checkpoint.objects.first()
        if size == (last.size if last else 0):
            return None
        if last and now < last.created_at + timedelta(seconds=after_seconds):
            return None
        made = Checkpoint(size=size, root=tree.root(size).hex(), created_at=now)
        made.public_key = key.public_key().public_bytes_raw().hex()
        made.signature = key.sign(message(made)).hex()
        made.save(force_insert=True)
    return made


def message(checkpoint: Checkpoint) -> bytes:
    """What is signed."""
    stated = {"size": checkpoint.size, "root": checkpoint.root, "created_at": moment(checkpoint.created_at)}
    return CONTEXT + canonical(stated)


def is_signed(checkpoint: Checkpoint) -> bool:
    """Whether the signature is its key's; whose key that is, is for others to say."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(checkpoint.public_key))
        key.verify(bytes.fromhex(checkpoint.signature), message(checkpoint))
    except (InvalidSignature, ValueError):
        return False
    return True


def as_document(checkpoint: Checkpoint) -> dict[str, Any]:
    """As the API and an export state it."""
    return {
        "size": checkpoint.size,
        "root": checkpoint.root,
        "created_at": moment(checkpoint.created_at),
        "public_key": checkpoint.public_key,
        "signature": checkpoint.signature,
    }


def signing_key() -> Ed25519PrivateKey:
    """The log's key: `LOG_KEY`, or the home's own, which is made for a log that has no checkpoint yet.

    Raises:
        NotFound: the log has checkpoints, and their key is not here.
        ValueError: it is not 32 bytes in hex.
        OSError: it cannot be read or kept.
    """
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(settings.LOG_KEY or _kept_key()))


def _kept_key() -> str:
    """The key in the home, mode 0600. Of several processes that make one at once, one's is kept and is everybody's."""
    path: Path = settings.COMPUTENET_HOME / KEY_FILE
    if not path.is_file():
        if Checkpoint.objects.exists():
            raise NotFound(
                f"The key of the sealed log is not at {path}: run this where the coordinator runs, bring the file back "
                "from its backup, or set LOG_KEY to a new key and tell those who check checkpoints."
            )
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_name(f"{KEY_FILE}.{os.getpid()}.{os.urandom(4).hex()}")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(Ed25519PrivateKey.generate().private_bytes_raw().hex())
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text().strip()
