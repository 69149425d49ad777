"""Measuring a machine: the honest pass on every backend, and each way of showing more than was computed is caught."""

import hashlib
import secrets

import numpy as np
import pytest

from tests.catalog.test_backend import backend_named
from workers.catalog.backend import NUMPY
from workers.catalog.matrix_rate import (
    LARGEST,
    MODULUS,
    STEP,
    Run,
    advance,
    check_size,
    fault,
    leaf_count,
    leaf_hash,
    matrices,
    needed,
    node_hash,
)

SEED = bytes(range(16))
N, ROUNDS = 128, 4 * STEP
LEAVES = sorted(np.random.default_rng(0).choice(leaf_count(N, ROUNDS), 32, replace=False).tolist())


class Machine:
    """One that keeps every commitment, so that a cheat can change it before the root is made."""

    def __init__(self, seed: bytes = SEED, rounds: int = ROUNDS) -> None:
        B, Y = (part.astype(np.float32) for part in matrices(seed, N))
        self.kept = []
        for _ in range(rounds // STEP):
            Y = advance(Y, B, NUMPY.xp)
            self.kept.append(Y.astype(np.uint8))

    def leaves(self) -> list[bytes]:
        return [row.tobytes() for block in self.kept for row in block]

    def tree(self) -> list[list[bytes]]:
        levels = [[leaf_hash(leaf) for leaf in self.leaves()]]
        while len(levels[-1]) > 1:
            levels.append([node_hash(*levels[-1][i : i + 2]) for i in range(0, len(levels[-1]), 2)])
        return levels

    def answer(self, leaves=LEAVES):
        tree, columns = self.tree(), self.leaves()
        paths = {
            leaf: b"".join(level[(leaf >> depth) ^ 1] for depth, level in enumerate(tree[:-1]))
            for leaf in needed(leaves, N)
        }
        return tree[-1][0], {leaf: (columns[leaf], path) for leaf, path in paths.items()}


def judged(root, opened, leaves=LEAVES, seed=SEED, rounds=ROUNDS) -> str:
    return fault(seed, N, rounds, root, leaves, opened)


def test_an_honest_machine_passes_and_the_trusted_tree_is_the_same():
    run = Run(SEED, N, ROUNDS, NUMPY)
    root = run.root()
    opened = run.open(LEAVES)
    assert judged(root, opened) == ""
    assert (root, opened) == Machine().answer()


@pytest.mark.parametrize(("kind", "n"), [("torch on the CPU", N), ("torch on a GPU", LARGEST), ("CuPy", LARGEST)])
def test_every_backend_finds_the_same_root(kind, n):
    run = Run(SEED, n, STEP, backend_named(kind))
    root = run.root()
    leaves = list(range(0, n, n // 32))
    assert fault(SEED, n, STEP, root, leaves, run.open(leaves)) == ""


def test_the_tree_is_the_one_of_rfc_6962():
    leaves = [bytes([i]) for i in range(4)]
    hashed = [hashlib.sha256(b"\0" + leaf).digest() for leaf in leaves]
    halves = [hashlib.sha256(b"\1" + hashed[i] + hashed[i + 1]).digest() for i in (0, 2)]
    assert [leaf_hash(leaf) for leaf in leaves] == hashed
    assert node_hash(*halves) == hashlib.sha256(b"\1" + halves[0] + halves[1]).digest()


def test_the_matrices_are_the_same_everywhere_and_always():
    B, Y = matrices(SEED, 64)
    assert hashlib.sha256(B.tobytes() + Y.tobytes()).hexdigest() == (
        "6f06b9cddc998eaa5451cf1e974a9cb21f19a2f70e95032de8d3a53c0db8447d"
    )
    assert (B.dtype, B.shape, int(B.min()), int(B.max())) == (np.uint8, (64, 64), 0, MODULUS - 1)
    assert not np.array_equal(B, matrices(SEED[::-1], 64)[0])


@pytest.mark.parametrize("n", [64, 512])
def test_float32_gives_what_integers_give(n):
    B, Y = matrices(secrets.token_bytes(16), n)
    exact = Y[:16].astype(np.int64)
    for _ in range(8):
        exact = (exact @ B.astype(np.int64) % MODULUS) ** 2 % MODULUS
    found = advance(Y[:16].astype(np.float32), B.astype(np.float32), NUMPY.xp, rounds=8)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, exact)


def test_float32_is_exact_at_the_largest_size_for_the_largest_numbers():
    assert LARGEST * (MODULUS - 1) ** 2 < 2**24
    Y = np.full((4, LARGEST), MODULUS - 1, np.float32)
    Y[1:] = matrices(SEED, LARGEST)[1][:3]
    B = np.full((LARGEST, 64), MODULUS - 1, np.float32)
    exact = (Y.astype(np.int64) @ B.astype(np.int64) % MODULUS) ** 2 % MODULUS
    np.testing.assert_array_equal(advance(Y, B, NUMPY.xp, rounds=1), exact)


def test_both_reductions_are_exact_for_every_product_that_there_can_be():
    """One row times a 1 × m matrix of ones: every value of P, through the same code."""
    for start in range(0, LARGEST * (MODULUS - 1) ** 2 + 1, 2_000_000):
        P = np.arange(start, min(start + 2_000_000, LARGEST * (MODULUS - 1) ** 2 + 1))
        found = advance(P[:, None].astype(np.float32), np.ones((1, 1), np.float32), NUMPY.xp, rounds=1)[:, 0]
        assert np.array_equal(found, (P % MODULUS) ** 2 % MODULUS)


def fewer_rounds(machine):
    machine.kept[-1] = machine.kept[-2]


def one_round_less_a_step(machine):
    B, Y = (part.astype(np.float32) for part in matrices(SEED, N))
    for t in range(len(machine.kept)):
        Y = advance(Y, B, NUMPY.xp, rounds=STEP - 1)
        machine.kept[t] = Y.astype(np.uint8)


def half_of_the_columns(machine):
    for block in machine.kept:
        block[N // 2 :] = block[: N // 2]


def columns_swapped(machine):
    for block in machine.kept:
        block[:] = np.roll(block, 1, axis=0)


def never_squared(machine):
    B, Y = (part.astype(np.int64) for part in matrices(SEED, N))
    for t in range(len(machine.kept)):
        for _ in range(STEP):
            Y = Y @ B % MODULUS
        machine.kept[t] = Y.astype(np.uint8)


def zeros(machine):
    for block in machine.kept:
        block[:] = 0


def made_up(machine):
    rng = np.random.default_rng(1)
    for block in machine.kept:
        block[:] = rng.integers(0, MODULUS, block.shape)


def outside_the_residues(machine):
    for block in machine.kept:
        block += MODULUS


CHEATS = [fewer_rounds, one_round_less_a_step, half_of_the_columns, columns_swapped, never_squared, zeros, made_up,
          outside_the_residues]  # fmt: skip


@pytest.mark.parametrize("cheat", CHEATS)
def test_what_was_not_computed_does_not_pass(cheat):
    machine = Machine()
    cheat(machine)
    assert judged(*machine.answer())


def test_an_answer_to_another_seed_does_not_pass():
    assert judged(*Machine(seed=bytes(16)).answer())


def test_an_answer_with_fewer_commitments_does_not_pass():
    root, opened = Machine(rounds=ROUNDS // 2).answer([leaf % leaf_count(N, ROUNDS // 2) for leaf in LEAVES])
    assert judged(root, opened) == "It did not open the columns that it was asked for."


def test_the_root_of_another_run_does_not_pass():
    _, opened = Machine().answer()
    other, _ = Machine(seed=bytes(16)).answer()
    assert "committed" in judged(other, opened)


def test_a_right_column_that_was_not_committed_to_does_not_pass():
    """The columns are computed only once they are asked for, which is what the root is there to prevent."""
    made = Machine()
    made_up(made)
    root, opened = made.answer()
    _, right = Machine().answer()
    assert "committed" in judged(root, {leaf: (right[leaf][0], path) for leaf, (_, path) in opened.items()})


def test_a_leaf_in_the_place_of_another_does_not_pass():
    root, opened = Machine().answer()
    first, second = LEAVES[:2]
    opened[first], opened[second] = opened[second], opened[first]
    assert "committed" in judged(root, opened)


def test_an_inner_node_does_not_pass_for_a_leaf():
    machine = Machine()
    tree = machine.tree()
    root, opened = machine.answer()
    leaf = LEAVES[0]
    opened[leaf] = tree[0][leaf & ~1] + tree[0][leaf | 1], opened[leaf][1][32:]
    assert judged(root, opened)


@pytest.mark.parametrize("spoil", ["shorter", "longer", "no path", "missing", "one more", "nothing", "flipped"])
def test_what_is_malformed_does_not_pass(spoil):
    root, opened = Machine().answer()
    leaf = LEAVES[3]
    column, path = opened[leaf]
    if spoil == "missing":
        del opened[leaf]
    elif spoil == "nothing":
        opened = {}
    elif spoil == "one more":
        opened[next(i for i in range(leaf_count(N, ROUNDS)) if i not in opened)] = column, path
    else:
        opened[leaf] = {
            "shorter": (column[:-1], path),
            "longer": (column + b"\0", path),
            "no path": (column, b""),
            "flipped": (bytes([column[0] ^ 1]) + column[1:], path),
        }[spoil]
    assert judged(root, opened)


def test_leaving_out_a_share_of_the_columns_passes_no_oftener_than_stated():
    """A fifth of the pairs left out, four columns opened: (4/5)⁴ = 41 % pass; never more than chance allows."""
    machine, rng, passed, trials = Machine(), np.random.default_rng(7), 0, 400
    for block in machine.kept:  # wrong from the first commitment on, and wrong again at each later one
        block[: N // 5] = rng.integers(0, MODULUS, (N // 5, N))
    tree = machine.tree()
    columns = machine.leaves()
    for _ in range(trials):
        leaves = sorted(rng.choice(leaf_count(N, ROUNDS), 4, replace=False).tolist())
        opened = {
            leaf: (columns[leaf], b"".join(level[(leaf >> depth) ^ 1] for depth, level in enumerate(tree[:-1])))
            for leaf in needed(leaves, N)
        }
        passed += judged(tree[-1][0], opened, leaves) == ""
    left_out = N // 5 / N
    expected = (1 - left_out) ** 4
    assert abs(passed / trials - expected) < 4 * (expected * (1 - expected) / trials) ** 0.5


@pytest.mark.parametrize(("n", "rounds"), [(0, 16), (63, 16), (96, 16), (8192, 16), (64, 8), (64, 24), (64, 2048),
                                           (64.0, 16), ("64", 16), (True, 16), (64, None)])  # fmt: skip
def test_sizes_that_no_challenge_has_are_refused(n, rounds):
    with pytest.raises(ValueError, match="power of two"):
        check_size(n, rounds)
