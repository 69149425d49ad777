"""Holding the sealed log against the rows that it sealed, its own tree and its checkpoints."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from marketplace.actions.checkpoints import is_signed
from marketplace.actions.leaves import Encoded, encode_rows
from marketplace.actions.tree import STRIDE
from marketplace.domain import merkle
from marketplace.domain.encoding import canonical, digest
from marketplace.models import Checkpoint, Event, Leaf, Transfer, TreeNode, Unsealed, Verdict

CHUNK = 2_000
ROWS = (("transfer", Transfer), ("event", Event), ("verdict", Verdict))
COLUMNS = ("number", "kind", "row_id", "content", "hash", "salt_row__salt")
Row = tuple[int, str, int, str, str, str | None]


class _Tree:
    """Grows by one leaf at a time; keeps its right edge's full subtrees, and notes those that the database keeps."""

    def __init__(self) -> None:
        self.size = 0
        self.edge: list[bytes] = []
        self.kept: dict[tuple[int, int], str] = {}

    def add(self, leaf: bytes) -> None:
        found, level, place = leaf, 0, self.size
        while place & 1:
            found = merkle.node_hash(self.edge.pop(), found)
            level, place = level + 1, place >> 1
            if level % STRIDE == 0:
                self.kept[level, place] = found.hex()
        self.edge.append(found)
        self.size += 1


def problems() -> list[str]:
    """What is wrong with the log, a sentence each.

    Empty where every leaf is its row, leaves are numbered without gaps, every row is sealed or waits to be, and every
    kept node and checkpoint is that of these leaves.

    Where a person was forgotten, what was private is not held against the row any more; what is plain is.
    """
    found: list[str] = []
    tree = _Tree()
    checkpoints = list(Checkpoint.objects.order_by("size"))
    for rows in _chunks():
        encoded = _encoded(rows)
        for row in rows:
            if row[0] != tree.size:
                return [*found, f"The log has no leaf {tree.size}."]
            found += _leaf(row, encoded[row[1]].get(row[2]))
            tree.add(merkle.leaf_hash(row[3].encode()))
            if checkpoints and checkpoints[0].size == tree.size:
                found += _checkpoint(checkpoints.pop(0), merkle.fold(tree.edge).hex())
    found += [f"The checkpoint of {each.size} leaves covers more than there are." for each in checkpoints]
    if dict(_nodes()) != tree.kept:
        found.append("The kept nodes of the log's tree are not those of its leaves.")
    return found + _unaccounted()


def _chunks() -> Iterator[list[Row]]:
    after = -1
    while rows := list(Leaf.objects.filter(number__gt=after).order_by("number").values_list(*COLUMNS)[:CHUNK]):
        yield rows
        after = rows[-1][0]


def _encoded(rows: Sequence[Row]) -> dict[str, dict[int, Encoded]]:
    wanted: dict[str, list[int]] = defaultdict(list)
    for _, kind, row_id, *_ in rows:
        wanted[kind].append(row_id)
    return {kind: encode_rows(kind, ids) for kind, ids in wanted.items()}


def _leaf(row: Row, encoded: Encoded | None) -> list[str]:
    number, kind, row_id, content, hash_, salt = row
    if encoded is None:
        return [f"Leaf {number} seals {kind} {row_id}, which is not there."]
    if merkle.leaf_hash(content.encode()).hex() != hash_:
        return [f"The hash of leaf {number} ({kind} {row_id}) is not that of its content."]
    plain, private = encoded
    stated = dict(plain)
    if private is not None:
        stated["private"] = digest(bytes.fromhex(salt), private) if salt else _stated_digest(content)
    if canonical(stated).decode() != content:
        return [f"Leaf {number} does not say what {kind} {row_id} says now: one of them was changed."]
    return []


def _stated_digest(content: str) -> Any:
    """The digest that a leaf states: the 64 characters after its name, which its canonical form puts in one place."""
    return content.partition('"private":"')[2][:64]


def _checkpoint(checkpoint: Checkpoint, root: str) -> list[str]:
    if checkpoint.root != root:
        return [f"The root of the checkpoint of {checkpoint.size} leaves is not that of these leaves."]
    if not is_signed(checkpoint):
        return [f"The signature of the checkpoint of {checkpoint.size} leaves is not its key's."]
    return []


def _nodes() -> Iterator[tuple[tuple[int, int], str]]:
    for level, place, hash_ in TreeNode.objects.values_list("level", "place", "hash").iterator(CHUNK):
        yield (level, place), hash_


def _unaccounted() -> list[str]:
    """Every leaf and note is of a row of its own that is there, so that numbers suffice."""
    found = []
    for kind, rows in ROWS:
        missing = (
            rows.objects.count() - Leaf.objects.filter(kind=kind).count() - Unsealed.objects.filter(kind=kind).count()
        )
        if missing:
            found.append(
                f"{missing} {kind}(s) are neither sealed nor wait for it: they were written while the database's "
                "guards were away. `manage.py migrate` notes them."
            )
    return found
