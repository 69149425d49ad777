"""Checking proofs out of the API: rows of the log, each with its path to a checkpoint's root."""

from collections.abc import Sequence
from typing import Any

from .checkpoints import Checkpoint
from .encoding import Bad, canonical, digest, unhex
from .report import Report
from .tree import leaf_hash, root_of_inclusion, roots_of_consistency

MAX_PATH = 64


def verify(document: dict[str, Any], older: Checkpoint | None) -> Report:
    """Check what `GET /log`, `GET /client/<address>/proofs` or `GET /job/<id>/proof` answered."""
    report = Report()
    try:
        report.checkpoint = Checkpoint.of(document.get("checkpoint"))
        report.checkpoint.require_signature()
    except Bad as problem:
        report.problem("checkpoint", str(problem))
        return report
    report.checkpoints = 1
    for row in document.get("rows", ()):
        try:
            _row(row, report.checkpoint)
            report.leaves += 1
        except Bad as problem:
            number = row.get("number") if isinstance(row, dict) else None
            report.problem(f"leaf {number!r:.40}", str(problem), leaf=number if type(number) is int else None)
    if older:
        try:
            _extends(older, report.checkpoint, document.get("consistency"))
            report.extends = True
        except Bad as problem:
            report.extends = False
            report.problem("consistency", str(problem))
    return report


def _row(row: Any, checkpoint: Checkpoint) -> None:
    try:
        number, leaf, path = row["number"], row["leaf"], _path(row["proof"])
        private, salt = row.get("private"), row.get("salt")
        stated = leaf.get("private")
    except (KeyError, TypeError, AttributeError):
        raise Bad("A row has number, leaf and proof.") from None
    if type(number) is not int:
        raise Bad("A leaf's number is a whole number.")
    found = root_of_inclusion(leaf_hash(canonical(leaf)), number, checkpoint.size, path)
    if found is None or found.hex() != checkpoint.root:
        raise Bad("Its path does not lead to the checkpoint's root.")
    if private is not None and digest(salt, private) != stated:
        raise Bad("What is shown as private is not what its digest states.")


def _extends(older: Checkpoint, newer: Checkpoint, proof: Any) -> None:
    if older.size == newer.size:
        if older.root != newer.root:
            raise Bad("Two checkpoints of the same size have different roots.")
        return
    if not isinstance(proof, dict) or proof.get("size") != older.size:
        raise Bad(f"There is no proof from {older.size} leaves here: ask for `GET /log?extends={older.size}`.")
    roots = roots_of_consistency(older.size, newer.size, unhex(older.root, 32), _path(proof.get("path")))
    if roots is None or (roots[0].hex(), roots[1].hex()) != (older.root, newer.root):
        raise Bad("The proof does not lead from the older checkpoint to the newer one: history was changed.")


def _path(path: Any) -> Sequence[bytes]:
    if not isinstance(path, list) or len(path) > MAX_PATH:
        raise Bad("A path is a list of at most 64 hashes.")
    return [unhex(each, 32) for each in path]
