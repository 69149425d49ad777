"""One pass over a large X: blocks of rows, less a shift near the means where that saves digits.

A pass costs what reading X costs, so there is one: it sums products of rows less the shift, and moves the sums
to the means afterwards. With z = x − shift, o the mean of z and any p, Σ(z − o)(p − p̄) = Σ z p − o Σ p. What that
subtraction cancels is at most (o/spread)² of the sum, so o must not be far above the spread: either the shift lies near
the means, or the means lie near zero and nothing need be subtracted.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from workers.catalog.backend import row_slices
from workers.catalog.base import Float
from workers.catalog.mapped import some

BLOCK_BYTES = 1 << 20  # a block is read by several products while it is in a core's second-level cache
SHIFT_ROWS = 256  # about how many rows give the shift
NEAR = 16.0  # standard deviations from zero: the means cost at most eight bits of a sum of squares


@dataclass(frozen=True)
class Shift:
    """`near` (d,) is the mean of some rows of X; `row` (d,) is what is subtracted: `near`, or zeros."""

    near: Float
    row: Float

    def blocks(self, X: Float, block_bytes: int = BLOCK_BYTES) -> Iterator[tuple[slice, Float]]:
        """Blocks of X − row, each valid until the next, with the slice of rows that it is.

        What reads a block first should read it from end to end (a sum, say): that fetches it at the memory's speed,
        and a matrix product, which reads it in its own order, finds it in the cache.
        """
        if not self.row.any():
            for rows in row_slices(X, block_bytes):
                yield rows, X[rows]
            return
        held = np.empty((0, X.shape[1]))
        for rows in row_slices(X, block_bytes):
            if not len(held):
                held = np.empty((rows.stop - rows.start, X.shape[1]))
            yield rows, np.subtract(X[rows], self.row, out=held[: rows.stop - rows.start])


def shift_of(rows: Float) -> Shift:
    """Of these rows. X − near is exact where a column's values lie within a factor of two (Sterbenz)."""
    near = rows.mean(axis=0)
    far = np.abs(near) > NEAR * rows.std(axis=0)
    return Shift(near, near if far.any() else np.zeros(len(near)))


def find_shift(X: Float) -> Shift:
    """Of evenly spaced rows."""
    return shift_of(some(X, SHIFT_ROWS))
