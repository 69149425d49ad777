"""What the five have in common: running a fit as a job, and saving what came of it."""

import json
from abc import abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator

from computenet_client.data import write_archive
from computenet_client.errors import ComputenetError, Refused
from computenet_client.network import Network

FORMAT = 1
META = "computenet.json"  # the member of a saved file that is JSON


class NetworkEstimator(BaseEstimator):  # type: ignore[misc]
    """An estimator whose `fit` is a job.

    `network`, `reward` (tokens) and `verbose` (a bar while a fit waits) are parameters of each. After a fit `job_id_`
    is the job's id.
    """

    model_type: ClassVar[str]
    job_params: ClassVar[Mapping[str, str]]  # the model's parameters → this class's
    fitted: ClassVar[tuple[str, ...]]  # attributes of a fit, as they are saved

    network: Network | None
    reward: float | None
    verbose: bool

    def _run(self, X: Any, y: Any = None, *, key: str | None = None, **params: Any) -> dict[str, Any]:
        """Fit on the network and answer the result; a fit that is interrupted is cancelled."""
        network = self.network if self.network is not None else Network.default()
        job = network.submit(self.model_type, X, y, reward=self.reward, idempotency_key=key, **params)
        try:
            job.wait(progress=bool(self.verbose))
        except KeyboardInterrupt:
            with suppress(ComputenetError):
                job.cancel()
            raise
        self.job_id_ = job.id
        return job.result()

    @abstractmethod
    def _take(self, result: Mapping[str, Any]) -> None:
        """Set the fitted attributes from a job's result."""

    def save(self, path: str | PathLike[str]) -> None:
        """Write the fitted estimator to an ``.npz`` file: arrays and JSON, no pickle, no key. `load` reads it.

        Raises:
            NotFittedError, Refused: there is nothing to write, or class labels that are neither numbers nor text.
        """
        arrays, scalars = {}, {}
        for name in (*self.fitted, "n_features_in_", "feature_names_in_", "job_id_"):
            value = getattr(self, name, None)
            if isinstance(value, np.ndarray):
                arrays[name] = _without_objects(name, value)
            elif value is not None:
                scalars[name] = value.item() if isinstance(value, np.generic) else value
        own = {name: value for name, value in self.get_params(deep=False).items() if name != "network"}
        params = {name: value.item() if isinstance(value, np.generic) else value for name, value in own.items()}
        meta = {"format": FORMAT, "estimator": type(self).__name__, "params": params, "scalars": scalars}
        text = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
        with Path(path).open("wb") as file:
            write_archive(file, {META: text, **arrays})


def _without_objects(name: str, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if array.dtype.kind != "O":
        return array
    if all(isinstance(value, str) for value in array.flat):
        return array.astype(str)
    raise Refused(f"{name} holds neither numbers nor text and cannot be saved.")


def refuse_more(given: Mapping[str, Any]) -> None:
    """Refuse what scikit-learn's `fit` may take and the network does not, in one sentence.

    Raises:
        TypeError
    """
    for name, value in given.items():
        if name == "sample_weight" and value is None:
            continue
        if name == "sample_weight":
            raise TypeError("The network weighs all rows alike: fit takes no sample_weight.")
        raise TypeError(f"fit takes X and y; it takes no {name}.")
