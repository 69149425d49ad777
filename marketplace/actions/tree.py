"""The sealed log's Merkle tree as it is kept: leaves' hashes, and those of full subtrees at every fourth level."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from django.db.models import Max

from marketplace.domain import merkle
from marketplace.domain.merkle import Part, Range
from marketplace.models import Leaf, TreeNode

STRIDE = 4  # levels from one that is kept to the next: a subtree between is made of at most 8 kept ones


def size() -> int:
    """How many leaves there are."""
    last = Leaf.objects.aggregate(last=Max("number"))["last"]
    return 0 if last is None else last + 1


def grow(hashes: Sequence[bytes], first: int) -> list[TreeNode]:
    """The nodes that become full with new leaves of these hashes, of which the first is number `first`; not yet saved.

    What is to the left of them in their subtrees is read, at most 15 nodes a level.
    """
    made: list[TreeNode] = []
    level, row, place = 0, list(hashes), first
    while row:
        width = 1 << STRIDE
        begun = place % width
        known = _kept(level, range(place - begun, place)) if begun else {}
        row = [known[each] for each in range(place - begun, place)] + row
        place = (place - begun) >> STRIDE
        full = [row[i : i + width] for i in range(0, len(row) - len(row) % width, width)]
        level, row = level + STRIDE, [_full_root(each) for each in full]
        made += [TreeNode(level=level, place=place + i, hash=each.hex()) for i, each in enumerate(row)]
    return made


def root(size: int) -> bytes:
    """The root of the first `size` leaves."""
    return proofs([[(0, size)]])[0][0] if size else merkle.EMPTY_ROOT


def proofs(wanted: Sequence[Sequence[Range]]) -> list[list[bytes]]:
    """The hashes of each list of ranges, with one query for each kept level of the tree, however many there are."""
    parts = {part for ranges in wanted for each in ranges for part in merkle.parts(*each)}
    below: dict[int, set[int]] = defaultdict(set)
    for level, place in parts:
        kept, width = _kept_below(level)
        below[kept].update(range(place * width, (place + 1) * width))
    found = {level: _kept(level, places) for level, places in below.items()}

    def hash_of(part: Part) -> bytes:
        kept, width = _kept_below(part[0])
        return _full_root([found[kept][part[1] * width + i] for i in range(width)])

    hashes = {part: hash_of(part) for part in parts}
    return [merkle.proof(ranges, hashes.__getitem__) for ranges in wanted]


def _kept_below(level: int) -> tuple[int, int]:
    """The highest kept level that is not above `level`, and how many of its nodes make one of `level`."""
    kept = level - level % STRIDE
    return kept, 1 << (level - kept)


def _kept(level: int, places: Iterable[int]) -> dict[int, bytes]:
    wanted = list(places)
    if level:
        rows = list(TreeNode.objects.filter(level=level, place__in=wanted).values_list("place", "hash"))
    else:
        rows = list(Leaf.objects.filter(number__in=wanted).values_list("number", "hash"))
    return {place: bytes.fromhex(each) for place, each in rows}


def _full_root(hashes: Sequence[bytes]) -> bytes:
    row = list(hashes)
    while len(row) > 1:
        row = [merkle.node_hash(row[i], row[i + 1]) for i in range(0, len(row), 2)]
    return row[0]
