"""Frames for tests where neither pandas nor polars is installed."""

from typing import Any

import numpy as np


class Frame:
    """A frame as pandas and polars agree on one."""

    def __init__(self, **columns: Any) -> None:
        self.data = columns
        self.columns = list(columns)

    def __getitem__(self, name: str) -> Any:
        return self.data[name]

    def to_numpy(self) -> np.ndarray:
        return np.column_stack(list(self.data.values()))
