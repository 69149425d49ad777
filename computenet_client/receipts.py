"""Checking a receipt on the client's own machine: is it about this job and these data, and do its amounts add up?

What is checked: the job, its model, parameters and reward are those of the job's status; the data have the SHA-256
that the receipt names (the file that was sent, and the matrix that was made of it); the reward was held once, and all
of it left escrow for whom the job's end allows; a verified job was paid for one accepted answer, whose measured error
is within its tolerance. A worker's own answer is for its contributor and operators, so its SHA-256 is not.
"""

import hashlib
import io
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from computenet_client.errors import VerificationFailed

MICRO = 1_000_000
BLOCK_ROWS = 65_536
Json = Mapping[str, Any]


def check(receipt: Json, status: Json) -> list[str]:
    """One sentence for each thing that was found in order.

    Args:
        receipt: the answer of ``GET /job/<id>/receipt``.
        status: the answer of ``GET /job/<id>/status``, read after it.

    Raises:
        VerificationFailed: the first thing that is not.
    """
    try:
        return [*_same_job(receipt, status), *_money(receipt, status), *_verdicts(receipt)]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise VerificationFailed(f"The receipt is not whole: {type(error).__name__} at {error}.") from None


def check_data(receipt: Json, status: Json, sent_sha256: str, matrix_sha256: str | None) -> list[str]:
    """The same for the data that the client has: the SHA-256 of the file as it is sent, and of `matrix_of` it."""
    if status["dataset"] != sent_sha256:
        raise VerificationFailed("The job was computed on other data than these.")
    found = ["The data are those that the job names."]
    if matrix_sha256 is not None:
        if receipt["matrix"]["sha256"] != matrix_sha256:
            raise VerificationFailed("The matrix that the network made is not that of these data.")
        found.append("The matrix that was computed on holds these data and nothing else.")
    return found


def matrix_sha256(X: NDArray[Any], y: NDArray[Any] | None) -> str:
    """The SHA-256 of the network's matrix of X (rows × columns) and y (rows,): a float64 ``.npy`` file, y last."""
    table = X.reshape(len(X), -1)
    columns = table.shape[1] + (y is not None)
    header = io.BytesIO()
    shape = {"descr": "<f8", "fortran_order": False, "shape": (len(table), columns)}
    np.lib.format.write_array_header_1_0(header, shape)
    found = hashlib.sha256(header.getvalue())
    for start in range(0, len(table), BLOCK_ROWS):
        block = np.empty((min(BLOCK_ROWS, len(table) - start), columns), dtype="<f8")
        block[:, : table.shape[1]] = table[start : start + BLOCK_ROWS]
        if y is not None:
            block[:, -1] = y[start : start + BLOCK_ROWS]
        found.update(block.tobytes())
    return found.hexdigest()


def _same_job(receipt: Json, status: Json) -> list[str]:
    pairs = (("job_id", "job_id"), ("model", "model_type"), ("params", "params"), ("reward", "reward"))
    for ours, theirs in (*pairs, ("status", "status")):
        if receipt[ours] != status[theirs]:
            raise VerificationFailed(f"The receipt's {ours} is {receipt[ours]!r}; the job's is {status[theirs]!r}.")
    features, columns = receipt["features"], receipt["matrix"]["columns"]
    used = [*features, *([] if receipt["target"] is None else [receipt["target"]])]
    if len(set(used)) != len(used) or not all(0 <= i < columns for i in used):
        raise VerificationFailed("The receipt names columns that the matrix has not, or one twice.")
    return ["The receipt is of this job, its model, its parameters and its reward."]


def _money(receipt: Json, status: Json) -> list[str]:
    entries = [*receipt["transfers"], *(each for attempt in receipt["attempts"] for each in attempt["transfers"])]
    reward = _micro(receipt["reward"])
    held = _sum(entries, "hold")
    if held != reward or sum(entry["code"] == "hold" for entry in entries) != 1:
        raise VerificationFailed(f"The reward is {_tokens(reward)} tokens, and {_tokens(held)} were held.")
    into = sum(_micro(entry["amount"]) for entry in entries if entry["destination"] == "escrow")
    out = sum(_micro(entry["amount"]) for entry in entries if entry["source"] == "escrow")
    paid, returned = _sum(entries, "capture") + _sum(entries, "fee"), _sum(entries, "void")
    state = status["status"]
    if state not in ("verified", "failed", "cancelled"):
        if out:
            raise VerificationFailed(f"The job is {state}, and {_tokens(out)} tokens have left its escrow.")
        return [f"{_tokens(held)} tokens are held."]
    if into != out or paid + returned != reward:
        raise VerificationFailed(
            f"Of {_tokens(reward)} tokens, {_tokens(paid)} were paid and {_tokens(returned)} returned."
        )
    if state == "verified" and returned or state == "failed" and paid:
        raise VerificationFailed(f"The job is {state}; {_tokens(paid)} tokens were paid, {_tokens(returned)} returned.")
    return [
        f"Of {_tokens(reward)} tokens held, {_tokens(paid)} were paid and {_tokens(returned)} returned: it adds up."
    ]


def _verdicts(receipt: Json) -> list[str]:
    accepted = [attempt for attempt in receipt["attempts"] if (attempt["verdict"] or {}).get("outcome") == "accepted"]
    if receipt["status"] != "verified":
        return []
    paid = [each for each in receipt["attempts"] if _sum(each["transfers"], "capture")]
    if len(accepted) != 1 or [each["assignment"] for each in paid] != [accepted[0]["assignment"]]:
        raise VerificationFailed("A verified job is paid for one accepted answer, and the receipt shows another case.")
    verdict = accepted[0]["verdict"]
    measured, tolerance = verdict["measured"], verdict["tolerance"]
    if measured is not None and tolerance is not None and not measured <= tolerance:
        raise VerificationFailed(f"The accepted answer's error is {measured:g}, above the tolerance {tolerance:g}.")
    if len(accepted[0]["answer"]["sha256"]) != 64:
        raise VerificationFailed("The receipt does not say which answer was accepted.")
    return [f"It was paid for one accepted answer, of {accepted[0]['worker']}."]


def _sum(entries: Iterable[Json], code: str) -> int:
    return sum(_micro(entry["amount"]) for entry in entries if entry["code"] == code)


def _micro(tokens: float) -> int:
    if not math.isfinite(tokens) or tokens < 0:
        raise ValueError("amount")
    return round(tokens * MICRO)


def _tokens(micro: int) -> str:
    return f"{micro / MICRO:,.6f}".rstrip("0").rstrip(".")
