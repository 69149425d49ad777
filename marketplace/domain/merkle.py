"""Merkle trees as RFC 6962 (section 2.1) defines them: hashes of leaves and nodes, roots, and the two proofs.

A tree of n leaves is spoken of by ranges [start, end) of its leaves. Each range that the definition comes upon is
made of *full* subtrees, those with 2^level leaves that begin at a multiple of 2^level; a full subtree never changes
however the tree grows. `parts` names them as (level, place), so that their hashes may be kept, and a root or a proof in
a tree of any size takes O(log n) of them.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence

EMPTY_ROOT = hashlib.sha256(b"").digest()

Part = tuple[int, int]  # a full subtree: its level (0: a leaf) and its place in the row of that level
Range = tuple[int, int]


def leaf_hash(content: bytes) -> bytes:
    """SHA-256 of 0x00 and the leaf's content: 32 bytes."""
    return hashlib.sha256(b"\x00" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256 of 0x01 and both children: 32 bytes. The prefixes keep a node from passing for a leaf."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def parts(start: int, end: int) -> list[Part]:
    """The full subtrees that make up leaves [start, end), from the left; `start` is a multiple of their width."""
    found = []
    while start < end:
        level = (end - start).bit_length() - 1
        found.append((level, start >> level))
        start += 1 << level
    return found


def fold(hashes: Sequence[bytes]) -> bytes:
    """The hash of a range from those of its `parts`."""
    if not hashes:
        return EMPTY_ROOT
    *others, found = hashes
    for left in reversed(others):
        found = node_hash(left, found)
    return found


def inclusion_ranges(number: int, size: int) -> list[Range]:
    """The ranges whose hashes are the audit path of leaf `number` in a tree of `size` leaves, from the leaf up.

    Raises:
        ValueError: there is no such leaf.
    """
    if not 0 <= number < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {number}")
    found, start, end = [], 0, size
    while end - start > 1:
        middle = start + _largest_power_below(end - start)
        if number < middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((start, middle))
            start = middle
    return found[::-1]


def consistency_ranges(old: int, size: int) -> list[Range]:
    """The ranges whose hashes prove that a tree of `size` leaves extends its first `old`.

    Raises:
        ValueError: `old` is not from 1 to `size`.
    """
    if not 0 < old <= size:
        raise ValueError(f"a tree of {size} leaves extends none of {old}")
    found, start, end = [], 0, size
    while old != end:
        middle = start + _largest_power_below(end - start)
        if old <= middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((start, middle))
            start = middle
    if start:  # else the old tree is itself a full subtree of the new one, and its root is known
        found.append((start, end))
    return found[::-1]


def root(size: int, hashes: Callable[[Part], bytes]) -> bytes:
    """The root of the first `size` leaves, given the hash of each full subtree."""
    return fold([hashes(part) for part in parts(0, size)])


def proof(ranges: Iterable[Range], hashes: Callable[[Part], bytes]) -> list[bytes]:
    """The hashes of `ranges`, given the hash of each full subtree."""
    return [fold([hashes(part) for part in parts(*each)]) for each in ranges]


def verify_inclusion(*, leaf: bytes, number: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `path` shows that the leaf of hash `leaf` is the one of that number under `root` (RFC 9162, 2.1.3.2)."""
    if not 0 <= number < size:
        return False
    first, last, found = number, size - 1, leaf
    for each in path:
        if last == 0:
            return False
        if first & 1 or first == last:
            found = node_hash(each, found)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            found = node_hash(found, each)
        first, last = first >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(*, old: int, old_root: bytes, size: int, root: bytes, path: Sequence[bytes]) -> bool:
    """Whether `path` shows that the tree under `root` extends the one under `old_root` (RFC 9162, 2.1.4.2)."""
    if not 0 < old <= size:
        return False
    if old == size:
        return not path and old_root == root
    hashes = list(path) if old & (old - 1) else [old_root, *path]
    if not hashes:
        return False
    first, last = old - 1, size - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    before = after = hashes[0]
    for each in hashes[1:]:
        if last == 0:
            return False
        if first & 1 or first == last:
            before, after = node_hash(each, before), node_hash(each, after)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            after = node_hash(after, each)
        first, last = first >> 1, last >> 1
    return last == 0 and before == old_root and after == root


def _largest_power_below(count: int) -> int:
    """The largest power of two that is less than `count`, which is above 1."""
    return 1 << ((count - 1).bit_length() - 1)
