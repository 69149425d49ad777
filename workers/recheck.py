"""Run the check of a verdict again: ``python -m workers.recheck --receipt FILE --answer FILE --matrix FILE``.

The receipt is what ``GET /job/<id>/receipt`` answers, the answer what ``GET /assignment/<id>/answer`` does, and the
matrix lies in the worker's own folder as ``cache/<sha256>.npy``. Nothing is sent anywhere.

Ends with 0 where the answer is accepted here, 1 where it is rejected, 3 where neither can be shown, and 2 where the
files do not belong together or cannot be read.
"""

import argparse
import hashlib
import json
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.catalog import MODELS
from workers.catalog.base import CatalogModel, Check, Float, ParameterError
from workers.catalog.mapped import column, columns

EXIT = {"accepted": 0, "rejected": 1, "inconclusive": 3}
UNUSABLE = 2
RECEIPT_BYTES_MAX = 10_000_000


class Unusable(Exception):
    """The files cannot be checked. The message is one sentence that says why."""


def recheck(receipt: Mapping[str, Any], answer: Path, matrix: Path) -> tuple[Check, Mapping[str, Any]]:
    """What the catalogue's check finds here, with the verifier's own seed, and the verdict on the receipt.

    Raises:
        Unusable
    """
    attempt = _attempt(receipt, _digest(answer))
    verdict = attempt["verdict"]
    if not isinstance(verdict, dict):
        raise Unusable("There is no verdict on this answer yet.")
    if _digest(matrix) != receipt["matrix"]["sha256"]:
        raise Unusable(f"{matrix} is not the matrix that the receipt names, {receipt['matrix']['sha256'][:12]}….")
    model = MODELS.get(receipt["model"])
    if model is None:
        raise Unusable(f"This catalogue has no model {receipt['model']!r:.60}.")
    if receipt["version"] != model.version:
        raise Unusable(
            f"The network checks version {receipt['version']} of {model.name} and this is version {model.version}; "
            "install the version of the worker that the network runs."
        )
    rows = np.load(matrix, mmap_mode="r", allow_pickle=False)
    X = np.asarray(columns(rows, receipt["features"]))
    y = None if receipt["target"] is None else column(rows, receipt["target"])
    params = model.clean(receipt["params"])
    arrays = _arrays(answer, model, params, X)
    rng = np.random.default_rng(int(verdict["seed"], 16))
    return model.check(X, y, params, receipt["seed"], arrays, rng=rng), verdict


def _attempt(receipt: Mapping[str, Any], sha256: str) -> Mapping[str, Any]:
    for attempt in reversed(receipt["attempts"]):
        if attempt["answer"] and attempt["answer"]["sha256"] == sha256:
            found: Mapping[str, Any] = attempt
            return found
    raise Unusable(f"No attempt on the receipt has this answer, whose SHA-256 is {sha256}.")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _arrays(path: Path, model: CatalogModel, params: Mapping[str, Any], X: Float) -> dict[str, NDArray[Any]]:
    """The answer's arrays; an archive larger than any right one is refused unread."""
    if path.stat().st_size > model.answer_bytes_max(params, *X.shape) + (1 << 16):
        raise Unusable("The answer is larger than any right one.")
    with zipfile.ZipFile(path) as archive:
        if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            raise Unusable("The answer is compressed, which no answer may be.")
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m workers.recheck", description="Run a verdict's check again.")
    parser.add_argument("--receipt", type=Path, required=True, help="what GET /job/<id>/receipt answered")
    parser.add_argument("--answer", type=Path, required=True, help="what GET /assignment/<id>/answer answered")
    parser.add_argument("--matrix", type=Path, required=True, help="the data: cache/<sha256>.npy of the worker")
    given = parser.parse_args(arguments)
    try:
        if given.receipt.stat().st_size > RECEIPT_BYTES_MAX:
            raise Unusable("The receipt is larger than any receipt.")
        receipt = json.loads(given.receipt.read_text(encoding="utf-8"))
        found, verdict = recheck(receipt, given.answer, given.matrix)
    except (Unusable, ParameterError) as problem:
        print(problem, file=sys.stderr)
        return UNUSABLE
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, zipfile.BadZipFile) as problem:
        print(f"These files cannot be checked: {type(problem).__name__}: {problem}", file=sys.stderr)
        return UNUSABLE
    for name, value in (
        ("here", found.verdict),
        ("network", verdict["outcome"]),
        ("method", found.method),
        ("reason", found.reason),
        ("measured", f"{found.measured:.6g} (network: {_number(verdict['measured'])})"),
        ("tolerance", f"{found.tolerance:.6g}"),
    ):
        print(f"{name:>10}  {value}")
    print("The verdicts agree." if found.verdict == verdict["outcome"] else "The verdicts DIFFER.")
    return EXIT[found.verdict]


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else "none"


if __name__ == "__main__":
    sys.exit(main())
