"""The data that are computed where a request brings none."""

import numpy as np

ROWS, FEATURES, CENTRES = 240, 4, 3
SEED = 20240


def make_sample(needs_target: bool) -> dict[str, np.ndarray]:
    """A regression problem with noise (X and y), or points around three centres (X): the same ones each time."""
    rng = np.random.default_rng(SEED)
    if needs_target:
        X = rng.normal(size=(ROWS, FEATURES))
        return {"X": X, "y": X @ np.arange(1.0, FEATURES + 1) + 0.5 + rng.normal(scale=0.1, size=ROWS)}
    centres = rng.uniform(-10, 10, size=(CENTRES, FEATURES))
    return {"X": centres[rng.integers(CENTRES, size=ROWS)] + rng.normal(size=(ROWS, FEATURES))}
