"""How fast a machine multiplies matrices, measured so that it cannot be told: the mathematics that both sides share.

The machine computes R rounds of X ← (A·X mod 61)² mod 61 on n × n matrices that a seed makes, commits to X by a Merkle
root after every `STEP` rounds, and is asked for random columns only then. A column of A·X needs A and that column of X
alone, so the trusted side recomputes `STEP` rounds of a column in 2·n²·STEP operations, where the machine needs
2·n³·R for all: a share of OPENED · STEP / (n · R).

Exact on every backend. All products and their partial sums are integers of at most n · 60² ≤ 4096 · 3600 = 14,745,600,
which is below 2²⁴ = 16,777,216: float32 holds each of them exactly, whatever the order of summation and with or
without fused operations. `advance` says why its two reductions are exact too.

What is sampled. An opened pair is a column at one commitment and the same column `STEP` rounds earlier. A machine that
leaves out a share φ of the pairs reports a rate 1/(1 − φ) = f times its own and passes with chance at most
(1 − φ)^OPENED = f^−32: 4.7 % at f = 1.1, 0.08 % at 1.25, 2.3e-10 at 2. Squaring keeps the rounds from being folded
into one product with Aᴿ. Faster multiplication (Strassen's) and tensor cores count as speed; a machine elsewhere that
the work is passed on to cannot be told apart from one's own.

Columns of X are kept as rows (Y = Xᵀ, B = Aᵀ, Y ← (Y·B mod 61)² mod 61), so that a column is one run of bytes.
The tree is that of RFC 6962, section 2.1, on a number of leaves that is a power of two: leaf (t, j), number t·n + j, is
column j after (t + 1)·STEP rounds, as n bytes.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.catalog.backend import NUMPY, Backend

MODULUS = 61
STEP = 16  # rounds between two commitments
OPENED = 32  # columns that are asked for
SMALLEST, LARGEST = 64, 4096  # of n; above 4,660 float32 would no longer be exact
MOST_ROUNDS = 1024
SEED_BYTES = 16
_RESIDUES = bytes(MODULUS * byte >> 8 for byte in range(256))
_INVERSE = 1.0 / MODULUS

Bytes = NDArray[np.uint8]


def check_size(n: int, rounds: int) -> None:
    """
    Raises:
        ValueError: `n` is no power of two from 64 to 4096, or `rounds` no power of two from 16 to 1024.
    """
    for value, low, high in ((n, SMALLEST, LARGEST), (rounds, STEP, MOST_ROUNDS)):
        if type(value) is not int or not low <= value <= high or value & (value - 1):
            raise ValueError(f"{value!r} is not a power of two from {low} to {high}.")


def matrices(seed: bytes, n: int) -> tuple[Bytes, Bytes]:
    """B = Aᵀ and Y = Xᵀ before the first round, both n × n of 0 to 60.

    The bytes of Philox4x64-10 (Salmon et al. 2011; NumPy promises that its raw stream stays the same), keyed with the
    16 bytes of `seed` read as a little-endian number, counter from 0, words as little-endian bytes; byte b becomes
    ⌊61·b / 256⌋. The first n² are B, row by row, the next n² are Y.
    """
    words = np.random.Philox(key=int.from_bytes(seed, "little")).random_raw(2 * n * n // 8)
    residues = words.astype("<u8", copy=False).tobytes().translate(_RESIDUES)
    both = np.frombuffer(residues, np.uint8).reshape(2, n, n)
    return both[0], both[1]


def advance(Y: Any, B: Any, xp: Any, rounds: int = STEP) -> Any:
    """`rounds` rounds on rows `Y` (m × n) with `B` (n × n), both float32 of 0 to 60 on one device; so is the answer.

    The first reduction takes a whole q within 0.55 of P/61: for P < 2²⁴ two float32 roundings move P/61 by less than
    0.03. So |P − 61q| ≤ 33 is exact and has the right residue, whichever q it was, and its square is at most 1,089.
    The second is unique: (P + ½)/61 lies at least 1/122 from every whole number, far more than float32 errs there.
    """
    for _ in range(rounds):
        Y = Y @ B
        part = xp.round(Y * _INVERSE)
        part *= MODULUS
        Y -= part
        Y *= Y
        part = xp.floor((Y + 0.5) * _INVERSE)
        part *= MODULUS
        Y -= part
    return Y


def leaf_hash(column: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + column).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _levels(digests: list[bytes]) -> list[list[bytes]]:
    """A tree over a power of two of digests, from the leaves to the root."""
    found = [digests]
    while len(found[-1]) > 1:
        below = found[-1]
        found.append([node_hash(below[i], below[i + 1]) for i in range(0, len(below), 2)])
    return found


def _block(rows: Bytes) -> list[list[bytes]]:
    content, n = rows.tobytes(), rows.shape[1]
    return _levels([leaf_hash(content[at : at + n]) for at in range(0, len(content), n)])


class Run:
    """The machine's side: all rounds, the root, and what is asked for after it."""

    def __init__(self, seed: bytes, n: int, rounds: int, backend: Backend) -> None:
        """
        Raises:
            ValueError: a size that no challenge has.
        """
        check_size(n, rounds)
        self.n, self.rounds, self.backend = n, rounds, backend
        B, self._start = matrices(seed, n)
        self._B = backend.asarray(B, "float32")
        self._blocks: list[list[list[bytes]]] = []
        self._top: list[list[bytes]] = []

    def root(self, stopped: Callable[[], None] = lambda: None) -> bytes:
        """Compute everything. `stopped` is called between commitments and may raise to break off."""
        Y = self.backend.asarray(self._start, "float32")
        hashed: list[Future[list[list[bytes]]]] = []
        with ThreadPoolExecutor(1) as hashing:  # beside the device's next rounds
            for _ in range(self.rounds // STEP):
                stopped()
                Y = advance(Y, self._B, self.backend.xp)
                rows = self.backend.to_numpy(self.backend.astype(Y, "uint8"))
                hashed.append(hashing.submit(_block, rows))
            self._blocks = [each.result() for each in hashed]
        self._top = _levels([block[-1][0] for block in self._blocks])
        return self._top[-1][0]

    def open(self, leaves: Sequence[int]) -> dict[int, tuple[bytes, bytes]]:
        """The columns of `leaves`, and of what `needed` adds to them, each with its path (32 bytes a level).

        Recomputed for these columns alone, which is cheap, so that no round's X had to be kept.
        """
        wanted = set(needed(leaves, self.n))
        columns = sorted({leaf % self.n for leaf in wanted})
        Y = self.backend.asarray(self._start[columns], "float32")
        found: dict[int, tuple[bytes, bytes]] = {}
        for t in range(self.rounds // STEP):
            Y = advance(Y, self._B, self.backend.xp)
            rows = self.backend.to_numpy(self.backend.astype(Y, "uint8"))
            for row, j in zip(rows, columns, strict=True):
                if t * self.n + j in wanted:
                    found[t * self.n + j] = row.tobytes(), self._path(t, j)
        return found

    def _path(self, t: int, j: int) -> bytes:
        beside = [level[(j >> depth) ^ 1] for depth, level in enumerate(self._blocks[t][:-1])]
        beside += [level[(t >> depth) ^ 1] for depth, level in enumerate(self._top[:-1])]
        return b"".join(beside)


def leaf_count(n: int, rounds: int) -> int:
    return rounds // STEP * n


def needed(leaves: Sequence[int], n: int) -> list[int]:
    """`leaves` and, for each that is not of the first commitment, the same column one commitment earlier; sorted."""
    return sorted({*leaves, *(leaf - n for leaf in leaves if leaf >= n)})


def fault(
    seed: bytes, n: int, rounds: int, root: bytes, leaves: Sequence[int], opened: Mapping[int, tuple[bytes, bytes]]
) -> str:
    """The trusted side: what is wrong with `opened` (leaf → column, path), as a sentence; "" where nothing is.

    Never raises on hostile bytes. At n = 4096 about a quarter of a second of one core and 130 MB, most of it to make
    the matrices.
    """
    check_size(n, rounds)
    wanted = needed(leaves, n)
    if sorted(opened) != wanted:
        return "It did not open the columns that it was asked for."
    depth = leaf_count(n, rounds).bit_length() - 1
    for leaf in wanted:
        column, path = opened[leaf]
        if len(column) != n or len(path) != 32 * depth:
            return "A column or its path has another length than it must have."
        if _root_of(column, leaf, path) != root:
            return "A column is not the one that it had committed to."
    B, start = matrices(seed, n)
    before = [np.frombuffer(opened[leaf - n][0], np.uint8) if leaf >= n else start[leaf] for leaf in leaves]
    after = [np.frombuffer(opened[leaf][0], np.uint8) for leaf in leaves]
    if max(int(column.max()) for column in before) >= MODULUS:
        return "A column holds a number that is no residue."
    right = advance(np.stack(before).astype(np.float32), B.astype(np.float32), NUMPY.xp)
    return "" if np.array_equal(right, np.stack(after)) else "A column is not what the rounds make of it."


def _root_of(column: bytes, leaf: int, path: bytes) -> bytes:
    digest = leaf_hash(column)
    for at in range(0, len(path), 32):
        beside = path[at : at + 32]
        digest = node_hash(beside, digest) if leaf & 1 else node_hash(digest, beside)
        leaf >>= 1
    return digest
