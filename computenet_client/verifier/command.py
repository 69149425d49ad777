"""The command line of the verifier by itself; `computenet verify` does the same."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import export, proofs
from .checkpoints import Checkpoint
from .encoding import Bad, read_document
from .replay import Replay

MICRO = 10**6


def check(
    path: Path,
    *,
    against: Path | None = None,
    key: str | None = None,
    balance: int | None = None,
    receipt: str | None = None,
    progress: Callable[[int], None] = lambda leaves: None,
) -> dict[str, Any]:
    """All that there is to say about an export (a folder) or proofs (a file).

    Returns:
        `Report.document()`, with ``balance`` and ``receipt`` where they were asked for.

    Raises:
        Bad: something cannot be read, or is not to be proved from this.
    """
    older = older_checkpoint(against) if against else None
    replay = None
    if path.is_dir():
        report, replay = export.verify(path, older, progress)
    else:
        report = proofs.verify(read_document(path), older)
    for each in (report.checkpoint, older):
        if key and each and each.public_key != key:
            report.problem("checkpoint", f"The checkpoint of {each.size} leaves is signed by another key.")
    if not key and older and report.checkpoint and older.public_key != report.checkpoint.public_key:
        report.problem("checkpoint", "The older checkpoint is signed by another key; name the right one.")
    found = report.document()
    if balance is not None:
        found["balance"] = _balance(_whole(replay), balance)
    if receipt is not None:
        found["receipt"] = _receipt(_whole(replay), receipt)
    return found


def older_checkpoint(path: Path) -> Checkpoint:
    """A checkpoint that was kept: by itself, or in what the API answered.

    Raises:
        Bad: it is none, or its signature is not its key's.
    """
    document = read_document(path)
    found = Checkpoint.of(document.get("checkpoint", document))
    found.require_signature()
    return found


def sentences(found: dict[str, Any]) -> list[str]:
    """The same for people."""
    said = [f"{each['where']}: {each['what']}" for each in found["problems"]]
    at = found["checkpoint"]
    if found["ok"] and at:
        checkpoint = f"the checkpoint of {at['size']:,} leaves of {at['created_at']}"
        said.append(
            f"{found['leaves']:,} leaves hold under {checkpoint}." if found["leaves"] else f"It is {checkpoint}."
        )
        checked = "checked, by the key" if found["signature"] == "checked" else "not checked; it names the key"
        said.append(f"Signature {checked} {at['public_key']}.")
    elif found["ok"]:
        said.append("The log is empty.")
    elif found["first_bad_leaf"] is not None:
        said.append(f"The first bad leaf is {found['first_bad_leaf']}.")
    if found["extends"]:
        said.append("It extends the older checkpoint.")
    if "balance" in found:
        each = found["balance"]
        said.append(f"Account {each['account']} ({each['kind']}) holds {each['balance'] / MICRO:,.6f} tokens.")
    if "receipt" in found:
        each = found["receipt"]
        moved = ", ".join(f"{code} {amount / MICRO:,.6f}" for code, amount in each["moved"].items())
        said.append(f"Job {each['job']} is {each['state']}; in tokens: {moved}. Leaves {each['leaves']}.")
    return said


def _whole(replay: Replay | None) -> Replay:
    if replay is None:
        raise Bad("A balance or a receipt is proved from a whole export: name its folder.")
    return replay


def _balance(replay: Replay, account: int) -> dict[str, Any]:
    found = replay.accounts.get(account)
    if found is None:
        raise Bad(f"The log knows no account {account}.")
    return {"account": account, "kind": found.kind, "balance": found.balance}


def _receipt(replay: Replay, job: str) -> dict[str, Any]:
    found = replay.jobs.get(job)
    if found is None:
        raise Bad(f"The log knows no job {job}.")
    return {"job": job, "state": found.state, "accepted": found.accepted, "moved": found.moved, "leaves": found.leaves}


def main(arguments: list[str] | None = None) -> int:
    """Answers 0 where everything holds, 1 where something does not."""
    parser = argparse.ArgumentParser(prog="verifier", description="Checks an export of a computenet network's log.")
    parser.add_argument("export", type=Path, help="an export's folder, or a file with proofs from the API")
    parser.add_argument("--against", type=Path, metavar="FILE", help="a checkpoint that was kept: is it extended?")
    parser.add_argument("--key", help="the public key that must have signed, in hexadecimal")
    parser.add_argument("--balance", type=int, metavar="ID", help="what this account holds")
    parser.add_argument("--receipt", metavar="JOB", help="what became of this job")
    parser.add_argument("--json", action="store_true", help="answer JSON, for programs")
    given = parser.parse_args(arguments)
    try:
        found = check(
            given.export,
            against=given.against,
            key=given.key,
            balance=given.balance,
            receipt=given.receipt,
            progress=_say if sys.stderr.isatty() else lambda leaves: None,
        )
    except Bad as problem:
        found = {"ok": False, "error": str(problem)}
    if given.json:
        print(json.dumps(found))
    else:
        print("\n".join(sentences(found) if "error" not in found else [found["error"]]))
    return 0 if found["ok"] else 1


def _say(leaves: int) -> None:
    print(f"\r{leaves:,} leaves", end="", file=sys.stderr, flush=True)
