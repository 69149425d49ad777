"""RFC 6962's tree against the vectors of Certificate Transparency's own tests, and against the definition."""

import pytest

from marketplace.domain import merkle
from marketplace.domain.encoding import canonical, digest, exact
from tests.sealed.vectors import CONSISTENCY, INCLUSION, LEAVES, ROOTS

HASHES = [merkle.leaf_hash(leaf) for leaf in LEAVES]


def definition(hashes: list[bytes]) -> bytes:
    """MTH of RFC 6962, 2.1, word for word."""
    if not hashes:
        return merkle.EMPTY_ROOT
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return merkle.node_hash(definition(hashes[:k]), definition(hashes[k:]))


def full_subtree(part: merkle.Part) -> bytes:
    level, place = part
    return definition(MANY[place << level : (place + 1) << level])


MANY = [merkle.leaf_hash(str(i).encode()) for i in range(70)]


def of_vectors(part: merkle.Part) -> bytes:
    level, place = part
    return definition(HASHES[place << level : (place + 1) << level])


def test_the_empty_trees_root():
    assert merkle.EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert merkle.root(0, full_subtree) == merkle.EMPTY_ROOT


@pytest.mark.parametrize("size", range(1, 9))
def test_the_roots_of_the_vectors(size):
    assert merkle.root(size, of_vectors).hex() == ROOTS[size - 1]


@pytest.mark.parametrize(("number", "size", "path"), INCLUSION)
def test_the_audit_paths_of_the_vectors(number, size, path):
    made = merkle.proof(merkle.inclusion_ranges(number, size), of_vectors)
    assert [each.hex() for each in made] == path
    root = bytes.fromhex(ROOTS[size - 1])
    assert merkle.verify_inclusion(leaf=HASHES[number], number=number, size=size, path=made, root=root)


@pytest.mark.parametrize(("old", "size", "path"), CONSISTENCY)
def test_the_consistency_proofs_of_the_vectors(old, size, path):
    made = merkle.proof(merkle.consistency_ranges(old, size), of_vectors)
    assert [each.hex() for each in made] == path
    old_root, root = bytes.fromhex(ROOTS[old - 1]), bytes.fromhex(ROOTS[size - 1])
    assert merkle.verify_consistency(old=old, old_root=old_root, size=size, root=root, path=made)


def test_every_proof_in_trees_of_up_to_seventy_leaves_holds_and_no_other_does():
    for size in range(1, 71):
        root = merkle.root(size, full_subtree)
        assert root == definition(MANY[:size])
        for number in range(size):
            path = merkle.proof(merkle.inclusion_ranges(number, size), full_subtree)
            given = {"number": number, "size": size, "path": path, "root": root}
            assert merkle.verify_inclusion(leaf=MANY[number], **given)
            assert not merkle.verify_inclusion(leaf=root if size > 1 else MANY[1], **given)
            assert not merkle.verify_inclusion(leaf=MANY[number], **given | {"path": [*path, root]})
            assert not path or not merkle.verify_inclusion(leaf=MANY[number], **given | {"path": path[:-1]})
        for old in range(1, size + 1):
            path = merkle.proof(merkle.consistency_ranges(old, size), full_subtree)
            given = {"old": old, "old_root": definition(MANY[:old]), "size": size, "root": root, "path": path}
            assert merkle.verify_consistency(**given)
            assert not merkle.verify_consistency(**given | {"old_root": MANY[-1]})
            assert not merkle.verify_consistency(**given | {"root": MANY[-1]})
            assert not merkle.verify_consistency(**given | {"path": [*path, root]})


def test_there_are_no_proofs_of_what_is_not_there():
    for number, size in ((0, 0), (5, 5), (-1, 5)):
        with pytest.raises(ValueError, match="has no leaf"):
            merkle.inclusion_ranges(number, size)
    for old, size in ((0, 5), (6, 5)):
        with pytest.raises(ValueError, match="extends none"):
            merkle.consistency_ranges(old, size)


def test_a_value_has_one_encoding():
    assert canonical({"b": [1, None, True], "a": "é\n"}) == b'{"a":"\\u00e9\\n","b":[1,null,true]}'
    assert exact({"x": 1.0, "y": [1e22, 0.1], "z": 3}) == {"x": 1, "y": [10**22, "0.1"], "z": 3}
    for value in (0.5, {"x": [1.0]}, {1: 2}, b"x", object()):
        with pytest.raises((ValueError, TypeError)):
            canonical(value)


def test_a_digest_without_its_salt_says_nothing():
    private = {"reason": "yes"}
    assert digest(b"1" * 16, private) != digest(b"2" * 16, private)
    assert digest(b"1" * 16, private) == digest(b"1" * 16, {"reason": "yes"})
