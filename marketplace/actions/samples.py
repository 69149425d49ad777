"""The data that are computed where a request brings none."""

import numpy as np

from workers.catalog.base import CatalogModel

ROWS, FEATURES, CENTRES = 240, 4, 3
SEED = 20240


def make_sample(model: CatalogModel) -> dict[str, np.ndarray]:
    """What suits the model, the same each time: a regression problem with noise (X and y), two classes that overlap
    (X and y), or points around three centres (X)."""
    rng = np.random.default_rng(SEED)
    if model.needs_target:
        X = rng.normal(size=(ROWS, FEATURES))
        y = X @ np.arange(1.0, FEATURES + 1) + 0.5 + rng.normal(scale=0.1, size=ROWS)
        return {"X": X, "y": (y + rng.normal(scale=2.0, size=ROWS) > 0).astype(float) if model.classifies else y}
    centres = rng.uniform(-10, 10, size=(CENTRES, FEATURES))
    return {"X": centres[rng.integers(CENTRES, size=ROWS)] + rng.normal(size=(ROWS, FEATURES))}
