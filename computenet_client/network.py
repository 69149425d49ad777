"""The network as a client sees it: workers, jobs, money, and submitting."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any
from urllib.parse import quote as quoted

import numpy as np

from computenet_client import config, frames, parts
from computenet_client.columns import Column, place
from computenet_client.data import Dataset, Upload, is_frame, prepared, wanted
from computenet_client.errors import NotFound, Refused
from computenet_client.job import Job
from computenet_client.transport import Transport, encoded, pages

# Short names of the catalogue's models.
MODELS = {
    "linear": "linear_regression",
    "ridge": "ridge_regression",
    "logistic": "logistic_regression",
    "kmeans": "kmeans_clustering",
    "pca": "pca_analysis",
}


class Network:
    """One computenet network, as one of its clients.

    Args:
        url: its address, such as ``http://localhost:5000``.
        key: an API key; a sandbox needs none.
        client: the client (`client_address`) that submits, pays and owns; needed for these alone.
        timeout: seconds that one answer may take.
        patience: seconds for which a call is repeated while the network is away, where repeating does no harm.

    A network may be shared by threads. Its key is not pickled, nor shown.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        client: str | None = None,
        timeout: float = 60.0,
        patience: float = 10.0,
    ) -> None:
        self.transport = Transport(url, key, timeout=timeout, patience=patience)
        self.client = client
        self._there: dict[str, Dataset] = {}  # datasets that the network is known to have

    @classmethod
    def default(cls, patience: float = 10.0) -> "Network":
        """The network of COMPUTENET_URL, COMPUTENET_CLIENT and COMPUTENET_API_KEY, else that of `computenet login`.

        Raises:
            Refused: neither says which.
        """
        found = config.load()
        return cls(found.url, found.key, client=found.client, patience=patience)

    @property
    def url(self) -> str:
        return self.transport.url

    def __repr__(self) -> str:
        return f"Network({self.url!r}, client={self.client!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self.url, "client": self.client, "t": (self.transport.timeout, self.transport.patience)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        timeout, patience = state["t"]
        key = _key_for(state["url"])
        self.__init__(state["url"], key, client=state["client"], timeout=timeout, patience=patience)  # type: ignore[misc]

    def __deepcopy__(self, memo: dict[int, Any]) -> "Network":
        return self

    def __sklearn_clone__(self) -> "Network":
        return self

    # What there is

    def health(self) -> dict[str, Any]:
        """Is it up? ``status``, ``coordination_active``, ``workers``, ``jobs``."""
        return self.transport.call("GET", "/health")

    def stats(self) -> dict[str, Any]:
        """The network's figures, in tokens, seconds and percent."""
        return self.transport.call("GET", "/network/stats")

    def workers(self, most: int = 1000) -> list[dict[str, Any]]:
        """The workers by name: `worker_id`, `gpu_type`, `compute_capacity` (TFLOPS), `reputation`, `is_online`, …"""
        return list(pages(self.transport, "/workers", "workers", {}, most))

    def worker(self, worker_id: str) -> dict[str, Any]:
        """One worker, with its `stake`, `current_job` and its contributor's `balance` (tokens)."""
        return self.transport.call("GET", f"/worker/{quoted(worker_id, safe='')}/status")

    def jobs(self, status: str | None = None, most: int = 100) -> list[Job]:
        """This client's jobs (all that may be seen, where no client is set), newest first."""
        asked = {"client": self.client, "status": status}
        given = {name: value for name, value in asked.items() if value is not None}
        found: Iterable[dict[str, Any]] = pages(self.transport, "/jobs", "jobs", given, most)
        return [Job(self.transport, info["job_id"], info) for info in found]

    def job(self, job_id: str) -> Job:
        """The job of that id.

        Raises:
            NotFound: there is none, or it is another's.
        """
        try:
            job = Job(self.transport, str(uuid.UUID(str(job_id))))
        except ValueError:
            raise NotFound(f"{str(job_id)[:80]!r} is no job's id.") from None
        job.refresh()
        return job

    # Money

    def balance(self) -> float:
        """What the client's wallet holds, in tokens."""
        answer = self.transport.call("GET", f"/client/{quoted(self._client(), safe='')}/balance")
        return float(answer["balance"])

    def register(self, initial_balance: float | None = None) -> float:
        """Register `client`; its balance in tokens. Only a sandbox gives money to begin with."""
        body: dict[str, Any] = {"client_address": self._client()}
        if initial_balance is not None:
            body["initial_balance"] = initial_balance
        return float(self._once("/client/register", body)["balance"])

    def transfer(self, to: str, amount: float, *, idempotency_key: str | None = None) -> dict[str, Any]:
        """Send `amount` tokens from the client's wallet to another. The same key again sends nothing again."""
        body = {"from": self._client(), "to": to, "amount": amount}
        return self._once("/token/transfer", body, idempotency_key)

    def add_worker(self, worker_id: str, *, gpu_type: str, tflops: float, stake: float) -> dict[str, Any]:
        """Register a worker with a stake (tokens). The answer's `enrolment_key` enrols its machine, once."""
        body = {"worker_id": worker_id, "gpu_type": gpu_type, "compute_capacity": tflops, "stake_amount": stake}
        return self._once("/worker/register", body)

    def pause_worker(self, worker_id: str, *, hand_back: bool = False) -> dict[str, Any]:
        """Have a worker take nothing new; with `hand_back`, others get at once what it computes. It costs nothing."""
        return self._once(f"/worker/{quoted(worker_id, safe='')}/pause", {"hand_back": hand_back})

    def resume_worker(self, worker_id: str) -> dict[str, Any]:
        """Have a paused worker take jobs again."""
        return self._once(f"/worker/{quoted(worker_id, safe='')}/resume", {})

    def schedule_worker(self, worker_id: str, schedule: str, time_zone: str = "UTC") -> dict[str, Any]:
        """Say when a worker takes jobs: ``mon-fri 18:00-08:00, sat-sun 00:00-24:00``, or "" for always."""
        body = {"schedule": schedule, "time_zone": time_zone}
        return self._once(f"/worker/{quoted(worker_id, safe='')}/schedule", body)

    # Work

    def upload(self, X: Any, y: Any = None) -> Dataset:
        """Bring data, unless the network has them: they are named by their SHA-256.

        `X` is a path (``.csv``, ``.npy``, ``.npz``), an array (rows × columns), a frame of pandas or polars, or
        lists; `y` (rows,) is what a regression predicts.
        """
        if isinstance(X, Dataset):
            return X
        with prepared(X, y) as file:
            return self._sent(file)

    def quote(self, model: str, X: Any, y: Any = None, **more: Any) -> dict[str, Any]:
        """What `submit` with the same arguments would take, before anything is held.

        ``workers_able``, ``estimated_seconds``, ``held`` and ``suggested_reward`` (tokens), ``balance_after``, …
        """
        return self.transport.call("POST", "/quote", body=self._request(model, X, y, **more), repeat=True)

    def submit(
        self, model: str, X: Any, y: Any = None, *, reward: float | None = None, idempotency_key: str | None = None,
        **more: Any,
    ) -> Job:  # fmt: skip
        """Submit a job; its reward is held at once.

        Args:
            model: a catalogue model's name, or a short one: linear, ridge, logistic, kmeans, pca.
            X, y: as `upload` takes them, or a `Dataset`.
            reward: tokens; what the network suggests if left out.
            idempotency_key: the same key with the same request makes one job, however often it is sent.
            target: of one table, the column (name or index) that a regression predicts; the last if left out.
            columns: which columns to use (names or indices); all others if left out.
            recipe: what becomes of gaps, categories and scale: ``missing`` (refuse, drop, mean), ``standardise``,
                ``categories``, ``first_level`` (drop, keep), ``holdout`` and ``seed``; see docs/tables.md. A frame
                with columns of a type of categories has one by itself; one with text is refused without.
            requirements: ``gpu_type``, ``min_memory_bytes``, ``min_compute_capacity`` (TFLOPS).
            receivers: whose workers alone may receive the data: ``{"pools": [...], "contributors": [...]}``.
            deadline_seconds: until when the answer must be there.
            **more: the model's own parameters, such as ``k=8``.

        Raises:
            Refused: with one sentence that says what to change; nothing was held.
        """
        body = self._request(model, X, y, **more)
        if reward is None:
            reward = self.transport.call("POST", "/quote", body=body, repeat=True)["suggested_reward"]
        body["reward"] = _plain(reward)
        answer = self._once("/job/submit", body, idempotency_key)
        return Job(self.transport, answer["job_id"], {**answer, "model_type": body["model_type"], "reward": reward})

    def submit_many(
        self, requests: Sequence[Mapping[str, Any]], *, reward: float | None = None, idempotency_key: str | None = None
    ) -> list[Job]:
        """Submit up to 500 jobs in one request: all of them, or none.

        Each of `requests` has what `submit` takes, such as ``{"model": "kmeans", "X": data, "k": 3}``; `reward` is each
        one's that names none of its own. The same data are sent once.

        Raises:
            Refused: with one sentence that says what to change; nothing was held.
        """
        bodies = []
        for each in requests:
            given = {"reward": reward} | dict(each)
            pays = _plain(given.pop("reward"))
            if pays is None:
                raise Refused("Say what each job pays: reward=… for all of them, or in its own request.")
            bodies.append({**self._request(**given), "reward": pays})
        answer = self._once("/jobs", {"jobs": bodies}, idempotency_key)
        return [
            Job(self.transport, job_id, {"job_id": job_id, "status": answer["status"], **body})
            for job_id, body in zip(answer["job_ids"], bodies, strict=True)
        ]

    def model(self, job_id: str) -> Any:
        """The fitted estimator of a verified job, as scikit-learn's are used. Needs scikit-learn."""
        job = self.job(job_id)
        if job.has_recipe():
            raise Refused("This job has a recipe, which an estimator knows nothing of: use job.predict(rows).")
        # Not an import at the top: scikit-learn is wanted for this alone.
        return import_module("computenet_client.estimators").restore(self, job.info, job.result())

    def _once(self, path: str, body: Mapping[str, Any], key: str | None = None) -> dict[str, Any]:
        """A call that changes something, under a key of its own: repeated while the network is away, done once."""
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        return self.transport.call("POST", path, body=body, headers=headers, repeat=True)

    def _client(self) -> str:
        if not self.client:
            raise Refused('Say which client: Network(url, client="alice"), or COMPUTENET_CLIENT.')
        return self.client

    def _request(
        self, model: str, X: Any, y: Any = None, *, target: Column | None = None,
        columns: Sequence[Column] | None = None, recipe: Mapping[str, Any] | None = None,
        requirements: Mapping[str, Any] | None = None,
        receivers: Mapping[str, Sequence[str]] | None = None, deadline_seconds: float | None = None, **params: Any,
    ) -> dict[str, Any]:  # fmt: skip
        body: dict[str, Any] = {
            "client_address": self._client(),
            "model_type": MODELS.get(model, model),
            "params": {name: _plain(value) for name, value in params.items()},
            "requirements": dict(requirements or {}),
        }
        if receivers:
            body["receivers"] = {kind: list(names) for kind, names in receivers.items()}
        if deadline_seconds is not None:
            body["deadline_seconds"] = deadline_seconds
        if recipe is not None:
            body["recipe"] = {name: _plain(value) for name, value in recipe.items()}
        encoded(body)  # what cannot be sent is refused before data are
        if is_frame(X) and (recipe is not None or frames.has_categories(X, wanted(columns, target))):
            return body | self._table(X, y, target, columns, dict(body.get("recipe", {})))
        if isinstance(X, Dataset):
            dataset, names = X, tuple[str, ...]()
        else:
            with prepared(X, y, wanted(columns, target)) as file:
                dataset, names = self._sent(file), file.names
        body["dataset"] = dataset.id
        if columns is not None:  # of a frame these alone were sent, the target behind them
            body["columns"] = list(range(len(columns))) if names else list(columns)
        if target is not None:
            if names:
                target = len(columns) if columns is not None else place(target, names)
            body["target"] = target
        return body

    def _table(
        self, X: Any, y: Any, target: Column | None, columns: Sequence[Column] | None, recipe: dict[str, Any]
    ) -> dict[str, Any]:
        """Send a frame with its names, and answer what a request says of it."""
        given = [str(name) for name in X.columns]
        with prepared(X, y, wanted(columns, target), as_table=True) as file:
            found: dict[str, Any] = {"dataset": self._sent(file).id}
            names, categories = file.written, file.categories
        if columns is not None:
            found["columns"] = list(names[: len(columns)])
        if y is not None:
            found["target"] = names[-1]
        elif target is not None:
            found["target"] = names[len(columns) if columns is not None else place(target, given)]
        marked = [name for name in categories if name != found.get("target")]
        if marked:
            recipe["categories"] = sorted({*recipe.get("categories", ()), *marked})
        return found | {"recipe": recipe}

    def _sent(self, file: Upload) -> Dataset:
        if file.sha256 not in self._there:
            try:
                answer = self.transport.call("GET", f"/datasets/{file.sha256}")
            except NotFound:
                answer = self._brought(file)
            if answer["dataset_id"] != file.sha256:
                raise Refused("The data changed while they were sent: send them again.")
            names = tuple(answer["columns"])
            self._there[file.sha256] = Dataset(file.sha256, answer["rows"], names, tuple(answer["text_columns"]))
        return self._there[file.sha256]

    def _brought(self, file: Upload) -> dict[str, Any]:
        """The dataset of a file that is sent now: large ones in parts, which go on after a cut."""
        size_bytes = file.file.seek(0, 2)
        file.file.seek(0)
        if size_bytes <= parts.ABOVE_BYTES:
            return self.transport.upload("/datasets", file.filename, file.file)
        dataset_id = parts.send(self.transport, file, size_bytes)
        return self.transport.call("GET", f"/datasets/{dataset_id}")


def _plain(value: Any) -> Any:
    """A NumPy number as Python's own, as JSON wants it."""
    return value.item() if isinstance(value, np.generic) else value


def _key_for(url: str) -> str | None:
    """The key that the environment or the configuration has for this address; None where they have none."""
    try:
        found = config.load()
    except Refused:
        return None
    return found.key if found.url.rstrip("/") == url else None
