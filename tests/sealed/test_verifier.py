"""The verifier is written apart from the network's own code; the two agree, and both with RFC 6962's vectors."""

import random

import pytest

from computenet_client.verifier import encoding as theirs
from computenet_client.verifier import replay
from computenet_client.verifier.tree import Tree, leaf_hash, root_of_inclusion, roots_of_consistency
from marketplace.domain import encoding as ours
from marketplace.domain import ledger, lifecycle, merkle
from tests.sealed.vectors import CONSISTENCY, INCLUSION, LEAVES, ROOTS


def unhex(path: list[str]) -> list[bytes]:
    return [bytes.fromhex(each) for each in path]


def test_the_roots_of_the_vectors():
    tree = Tree()
    assert tree.root() == merkle.EMPTY_ROOT
    for leaf, root in zip(LEAVES, ROOTS, strict=True):
        tree.add(leaf_hash(leaf))
        assert tree.root().hex() == root


@pytest.mark.parametrize(("number", "size", "path"), INCLUSION)
def test_the_audit_paths_of_the_vectors(number, size, path):
    assert root_of_inclusion(leaf_hash(LEAVES[number]), number, size, unhex(path)).hex() == ROOTS[size - 1]


@pytest.mark.parametrize(("old", "size", "path"), CONSISTENCY)
def test_the_consistency_proofs_of_the_vectors(old, size, path):
    old_root, root = unhex([ROOTS[old - 1], ROOTS[size - 1]])
    assert roots_of_consistency(old, size, old_root, unhex(path)) == (old_root, root)


def test_both_believe_the_same_proofs_true_and_damaged():
    draw = random.Random(6962)
    hashes = [merkle.leaf_hash(str(i).encode()) for i in range(40)]

    def of(part: merkle.Part) -> bytes:
        tree = Tree()
        for each in hashes[part[1] << part[0] : (part[1] + 1) << part[0]]:
            tree.add(each)
        return tree.root()

    for _ in range(600):
        size = draw.randrange(1, 41)
        number, old = draw.randrange(size), draw.randrange(1, size + 1)
        root, old_root = merkle.root(size, of), merkle.root(old, of)
        damage = draw.choice(("none", "none", "flip", "drop", "add", "other"))
        for ranges in (merkle.inclusion_ranges(number, size), merkle.consistency_ranges(old, size)):
            path = merkle.proof(ranges, of)
            if damage == "flip" and path:
                path[draw.randrange(len(path))] = bytes(32)
            if damage == "drop":
                path = path[:-1]
            if damage == "add":
                path = [*path, bytes(32)]
            place = (number + 1) % size if damage == "other" else number
            if ranges == merkle.inclusion_ranges(number, size):
                found = root_of_inclusion(hashes[number], place, size, path) == root
                given = {"leaf": hashes[number], "number": place, "size": size, "path": path, "root": root}
                assert found == merkle.verify_inclusion(**given)
            if ranges == merkle.consistency_ranges(old, size):
                found = roots_of_consistency(old, size, old_root, path) == (old_root, root)
                given = {"old": old, "old_root": old_root, "size": size, "root": root, "path": path}
                assert found == merkle.verify_consistency(**given)


def test_both_write_the_same_bytes_and_the_same_digests():
    value = {"é": ["\n", 10**30, None, True, {"b": 1, "a": -2}], "A": "\ud800"}
    assert theirs.canonical(value) == ours.canonical(value)
    assert theirs.parse(ours.canonical(value)) == value
    assert theirs.digest("00" * 16, value) == ours.digest(bytes(16), value)
    for text in (b"[1]", b'{"a":1.5}', b'{"a":NaN}', b"\xff", b"", b"{" * 10**5, b'{"a":' + b"9" * 5000 + b"}"):
        with pytest.raises(theirs.Bad):
            theirs.parse(text)


def test_both_know_the_same_transfers_and_transitions():
    ours_ = {code.value: {(a.value, b.value) for a, b in kinds} for code, kinds in ledger.ALLOWED.items()}
    assert ours_ == replay.JOINS
    assert {code.value for code in ledger.ONCE_A_JOB} == replay.ONCE_A_JOB
    after = {a.value: {b.value for b in then} for a, then in lifecycle.JOB_TRANSITIONS.items() if then}
    assert after == replay.FOLLOWS
    assert {state.value for state in lifecycle.ENDED} == replay.ENDED
