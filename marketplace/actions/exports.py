"""Writing the sealed log to a folder, for whoever checks it offline. `docs/state-export.md` has the format."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marketplace.actions import checkpoints, sealing
from marketplace.actions.books import one_moment
from marketplace.domain.encoding import canonical
from marketplace.domain.errors import Refused
from marketplace.models import Checkpoint, Leaf

FORMAT = "computenet-export-1"
CHUNK = 5_000


@dataclass(frozen=True)
class Export:
    """What was written."""

    folder: Path
    leaves: int
    checkpoints: int
    checkpoint: dict[str, Any] | None  # the newest
    size_bytes: int


def export_state(folder: Path, progress: Callable[[int, int], None] = lambda done, of: None) -> Export:
    """Seal what waits, sign a checkpoint over all of it, and write every leaf and every checkpoint.

    `progress` is told how many leaves are written, of how many.

    Raises:
        Refused: the folder is there and not empty, or cannot be written; or the log's key is not here.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise Refused(f"{folder} is not empty; name a new folder.")
    except OSError as error:
        raise Refused(f"{folder} cannot be written: {error.strerror}.") from None
    while sealing.seal():
        pass
    checkpoints.make()
    with one_moment():
        stated = list(Checkpoint.objects.order_by("size"))
        size = stated[-1].size if stated else 0
        digests = {
            "leaves.jsonl": _write(folder / "leaves.jsonl", _leaves(size, progress)),
            "checkpoints.jsonl": _write(folder / "checkpoints.jsonl", map(checkpoint_line, stated)),
        }
    manifest = {"format": FORMAT, "leaves": size, "checkpoints": len(stated), "files": digests}
    _write(folder / "export.json", [canonical(manifest) + b"\n"])
    written = sum(file.stat().st_size for file in folder.iterdir())
    newest = checkpoints.as_document(stated[-1]) if stated else None
    return Export(folder, size, len(stated), newest, written)


def leaf_line(number: int, hash_: str, content: str) -> bytes:
    """A leaf as a line: canonical JSON, in which its content stands as it was hashed."""
    return b'{"hash":"%s","leaf":%s,"number":%d}\n' % (hash_.encode(), content.encode(), number)


def checkpoint_line(checkpoint: Checkpoint) -> bytes:
    """A checkpoint as a line, with a digest of itself: a damaged one is known where no signature can be checked."""
    stated = checkpoints.as_document(checkpoint)
    return canonical(stated | {"sha256": hashlib.sha256(canonical(stated)).hexdigest()}) + b"\n"


def _leaves(size: int, progress: Callable[[int, int], None]) -> Iterator[bytes]:
    for first in range(0, size, CHUNK):
        rows = Leaf.objects.filter(number__gte=first, number__lt=min(first + CHUNK, size)).order_by("number")
        for number, hash_, content in rows.values_list("number", "hash", "content"):
            yield leaf_line(number, hash_, content)
        progress(min(first + CHUNK, size), size)


def _write(path: Path, lines: Any) -> str:
    """Write a new file, and answer its SHA-256."""
    digest = hashlib.sha256()
    with path.open("xb") as file:
        for line in lines:
            digest.update(line)
            file.write(line)
    return digest.hexdigest()
