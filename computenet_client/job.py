"""A job that was submitted: how it is, waiting for it, and what came of it."""

import tempfile
import time
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from computenet_client import receipts
from computenet_client.data import IN_MEMORY_BYTES, Column, prepared, read_archive, wanted
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
        target = Path(path)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
            try:
                self.transport.download(f"/job/{self.id}/result", {"format": "npz"}, file)
                file.close()
                Path(file.name).chmod(0o644)
                return Path(file.name).replace(target)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise

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
            with prepared(X, y, wanted(columns, target)) as file:
                matrix = None if file.table is None else receipts.matrix_sha256(file.table, file.target)
                checked += receipts.check_data(found, status, file.sha256, matrix)
        return {**found, "checked_here": checked}

    def columns(self) -> list[str]:
        """The names of the columns that the model takes, in its order."""
        found = self.transport.call("GET", f"/job/{self.id}/receipt")
        dataset = self.transport.call("GET", f"/datasets/{self.refresh()['dataset']}")
        # The matrix has the numeric columns, in the file's order.
        names = [name for name in dataset["columns"] if name not in dataset["text_columns"]]
        return [names[i] for i in found["features"]]

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
