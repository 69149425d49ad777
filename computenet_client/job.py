"""A job that was submitted: how it is, waiting for it, and what came of it."""

import tempfile
import time
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import IO, Any

from numpy.typing import NDArray

from computenet_client import receipts, tables
from computenet_client.columns import Column
from computenet_client.data import IN_MEMORY_BYTES, is_frame, prepared, read_archive, wanted
from computenet_client.errors import JobEnded, NotReady, Unreachable, WaitTimeout
from computenet_client.progress import watching
from computenet_client.transport import Transport

ENDED = ("verified", "failed", "cancelled")
FIRST_POLL_SECONDS, LONGEST_POLL_SECONDS = 0.03, 1.0
AWAY_SECONDS = 120.0  # how long `wait` goes on while the network does not answer


class Job:
    """A job of the network. `info` is its status as last read, `id` its id."""

    def __init__(self, transport: Transport, job_id: str, info: dict[str, Any] | None = None) -> None:
        self.transport, self.id = transport, job_id
        self.info: dict[str, Any] = dict(info or {})

    def __repr__(self) -> str:
        return f"<Job {self.id}: {self.info.get('model_type', 'model not read')}, {self.status}>"

    @property
    def status(self) -> str:
        """The state as last read: pending, assigned, computing, completed, verified, failed or cancelled."""
        return str(self.info.get("status", "unknown"))

    def refresh(self) -> dict[str, Any]:
        """Read the status again and answer it."""
        self.info = self.transport.call("GET", f"/job/{self.id}/status")
        return self.info

    def wait(self, timeout: float | None = None, *, progress: bool | None = None) -> "Job":
        """Wait until the answer is verified.

        Args:
            timeout: seconds; for ever if left out.
            progress: show a bar; by default where standard error is a terminal.

        Raises:
            JobEnded: it failed or was cancelled; the message says why.
            WaitTimeout: it has not ended yet.
            Unreachable: the network has not answered for two minutes.
        """
        began = heard = time.monotonic()
        with watching(self.id, progress) as show:
            while True:
                try:
                    show(self.refresh())
                    heard = time.monotonic()
                except Unreachable:
                    if time.monotonic() - heard > AWAY_SECONDS:
                        raise
                now = time.monotonic()
                if self.status in ENDED:
                    break
                pause = min(max(FIRST_POLL_SECONDS, (now - began) / 8), LONGEST_POLL_SECONDS)
                if timeout is not None and now - began + pause > timeout:
                    raise WaitTimeout(f"The job {self.id} is {self.status} after {timeout:g} s; it goes on.")
                time.sleep(pause)
        self._require_verified()
        return self

    def result(self) -> dict[str, Any]:
        """The result's fields: arrays as NumPy arrays, the rest as Python numbers and text.

        Raises:
            NotReady: the job has not ended.
            JobEnded: it failed or was cancelled.
        """
        self._require_verified()
        with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES) as file:
            self.transport.download(f"/job/{self.id}/result", {"format": "npz"}, file)
            arrays = read_archive(file)
        scalars = {name: value for name, value in self.info["result"].items() if name != "omitted"}
        return {**scalars, **arrays}

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the result's arrays to an ``.npz`` file, in one move."""
        self._require_verified()
        return _written(
            Path(path), lambda file: self.transport.download(f"/job/{self.id}/result", {"format": "npz"}, file)
        )

    def receipt(
        self, X: Any = None, y: Any = None, *, target: Column | None = None, columns: Sequence[Column] | None = None
    ) -> dict[str, Any]:
        """The network's receipt, checked here as `computenet_client.receipts` says.

        With the data as `submit` was given them, it is also checked that they are what was computed on.
        `checked_here` holds a sentence for each thing that was found in order.

        Raises:
            VerificationFailed: it does not agree with the job or the data, or its amounts do not add up.
        """
        found = self.transport.call("GET", f"/job/{self.id}/receipt")
        status = self.refresh()
        checked = receipts.check(found, status)
        if X is not None:
            with prepared(X, y, wanted(columns, target), as_table=self._names(X)) as file:
                matrix = (
                    None if file.table is None or self.has_recipe() else receipts.matrix_sha256(file.table, file.target)
                )
                checked += receipts.check_data(found, status, file.sha256, matrix)
        return {**found, "checked_here": checked}

    def columns(self) -> list[str]:
        """The names of the columns that the model takes, in its order."""
        return [str(name) for name in self._known()["columns"]]

    def has_recipe(self) -> bool:
        """Was anything but numbers as they were brought fitted, so that only the network can tell new rows?"""
        return self._known()["recipe"] is not None

    def _known(self) -> dict[str, Any]:
        return self.info if "recipe" in self.info else self.refresh()

    def _names(self, frame: Any) -> bool:
        """Is `frame` one whose columns the job knows by their names?"""
        return is_frame(frame) and set(self.columns()) <= {str(name) for name in frame.columns}

    def predict(self, X: Any) -> dict[str, NDArray[Any]]:
        """What the model says of new rows, computed by the network through the job's own recipe, at no price.

        Args:
            X: a path (``.csv``, ``.npy``), a frame of pandas or polars with the columns of the fit, or an array
                (rows × columns) with theirs in their order.

        Returns:
            Arrays (rows,) by name: ``prediction`` (numbers, or text for classes of text) with ``probability_…``,
            ``cluster``, or ``component_…``. Numbers are NaN, and texts empty, where a row has a gap that the recipe
            drops.

        Raises:
            Refused: other columns, or cells that the model cannot take; the sentence names the first.
        """
        self._require_verified()
        with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES) as answer:
            self._predict(X, answer)
            answer.seek(0)
            return tables.read_predictions(answer)

    def save_predictions(self, X: Any, path: str | PathLike[str]) -> Path:
        """The same as `predict`, as a CSV file."""
        self._require_verified()
        return _written(Path(path), lambda file: self._predict(X, file))

    def _predict(self, X: Any, into: IO[bytes]) -> None:
        with prepared(X, as_table=self._names(X)) as file:
            self.transport.ask(f"/job/{self.id}/predict", file.filename, file.file, into)

    def save_table(self, path: str | PathLike[str]) -> Path:
        """Write the job's own table with the model's columns behind it to a CSV file, in the table's order."""
        self._require_verified()
        return _written(Path(path), lambda file: self.transport.download(f"/job/{self.id}/table", {}, file))

    def cancel(self) -> "Job":
        """Call the job off: the reward comes back, less a worker's share where one was computing."""
        self.info |= self.transport.call("POST", f"/job/{self.id}/cancel", body={})
        return self

    def _require_verified(self) -> None:
        if self.status != "verified" or "result" not in self.info:
            self.refresh()
        if self.status not in ENDED:
            raise NotReady(f"The job {self.id} is {self.status}: wait for it with wait().")
        if self.status != "verified":
            reason = self.info.get("reason") or "No reason was given."
            raise JobEnded(
                f"The job {self.id} {'was ' * (self.status == 'cancelled')}{self.status}: {reason}", self.info
            )


def _written(target: Path, write: Callable[[IO[bytes]], None]) -> Path:
    """A file that is there whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
        try:
            write(file)
            file.close()
            Path(file.name).chmod(0o644)
            return Path(file.name).replace(target)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
