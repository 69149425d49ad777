"""RFC 6962's Merkle tree, as a verifier needs it: growing by leaves, and the two proofs."""

import hashlib
from collections.abc import Sequence


def leaf_hash(content: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """Takes leaves' hashes in order, keeps O(log n) of them, and knows its root at any time."""

    def __init__(self) -> None:
        self.size = 0
        self._edge: list[bytes] = []  # the full subtrees of its right edge, the largest first

    def add(self, leaf: bytes) -> None:
        found, place = leaf, self.size
        while place & 1:  # a left neighbour of the same width is there
            found = node_hash(self._edge.pop(), found)
            place >>= 1
        self._edge.append(found)
        self.size += 1

    def root(self) -> bytes:
        if not self._edge:
            return hashlib.sha256(b"").digest()
        found = self._edge[-1]
        for left in reversed(self._edge[:-1]):
            found = node_hash(left, found)
        return found


def root_of_inclusion(leaf: bytes, number: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that an audit path leads to from a leaf of that number; None for a path of another length."""
    if not 0 <= number < size:
        return None
    steps = list(path)

    def climb(place: int, width: int) -> bytes:  # the hash of a subtree of `width` leaves, from the leaf up
        if width == 1:
            return leaf
        split = 1 << ((width - 1).bit_length() - 1)
        if place < split:
            below = climb(place, split)
            return node_hash(below, steps.pop(0))
        below = climb(place - split, width - split)
        return node_hash(steps.pop(0), below)

    try:
        found = climb(number, size)
    except IndexError:
        return None
    return None if steps else found


def roots_of_consistency(old: int, size: int, old_root: bytes, path: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    """The roots of the tree of `old` leaves and of that of `size` that a proof leads to; None for a wrong length."""
    if not 0 < old <= size:
        return None
    steps = list(path)

    def climb(part: int, width: int, whole: bool) -> tuple[bytes, bytes]:  # of the old leaves here, of all here
        if part == width:
            found = old_root if whole else steps.pop(0)
            return found, found
        split = 1 << ((width - 1).bit_length() - 1)
        if part <= split:
            before, after = climb(part, split, whole)
            return before, node_hash(after, steps.pop(0))
        before, after = climb(part - split, width - split, False)
        left = steps.pop(0)
        return node_hash(left, before), node_hash(left, after)

    try:
        found = climb(old, size, True)
    except IndexError:
        return None
    return None if steps else found
