"""A network's life to export, and verifiers to run on it."""

import hashlib
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from marketplace.actions import checkpoints, jobs
from marketplace.actions.exports import FORMAT, checkpoint_line, export_state, leaf_line
from marketplace.domain.encoding import canonical
from marketplace.domain.merkle import leaf_hash
from marketplace.models import Checkpoint
from tests import factories as make
from tests.sandbox.running import ROOT

VERIFIER = ROOT / "computenet_client" / "verifier"


def live() -> dict[str, Any]:
    """Paid, rejected and slashed, cancelled while computing, waiting: a job of each."""
    client = make.make_client()
    for name in ("rtx4090", "rtx3090"):
        make.make_worker(name)
    paid = make.run_to_end(make.make_job())
    retried = make.make_job(reward=30)
    attempt = make.assign(retried)
    make.start(attempt)
    make.submit_answer(attempt, make.wrong_answer(retried))
    make.verify(attempt)
    make.run_to_end(retried)
    called_off = make.make_job(reward=20)
    make.start(make.assign(called_off))
    jobs.cancel(job_id=called_off.pk, user=None, actor="client")
    make.make_job(reward=40)
    return {"client": client, "paid": paid, "retried": retried, "called_off": called_off, "attempt": attempt}


def write(folder: Path) -> Path:
    export_state(folder)
    return folder


def alone(*arguments: Any) -> tuple[int, dict[str, Any]]:
    """Run the verifier's folder by its path, in a Python that has the standard library and nothing else."""
    command = [sys.executable, "-I", "-S", str(VERIFIER), *map(str, arguments), "--json"]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=120)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def relink(folder: Path, leaves: list[dict[str, Any]]) -> None:
    """Write other leaves over an export's, with hashes that fit them: what a forger without the key can do."""
    lines = []
    for number, leaf in enumerate(leaves):
        content = canonical(leaf)
        lines.append(leaf_line(number, leaf_hash(content).hex(), content.decode()))
    (folder / "leaves.jsonl").write_bytes(b"".join(lines))


def sign(folder: Path, size: int, root: str) -> None:
    """Write the checkpoint and the manifest of an export whose leaves are there."""
    key = Ed25519PrivateKey.generate()
    checkpoint = Checkpoint(size=size, root=root, created_at=datetime.now(UTC))
    checkpoint.public_key = key.public_key().public_bytes_raw().hex()
    checkpoint.signature = key.sign(checkpoints.message(checkpoint)).hex()
    (folder / "checkpoints.jsonl").write_bytes(checkpoint_line(checkpoint))
    names = ("leaves.jsonl", "checkpoints.jsonl")
    files = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    manifest = {"format": FORMAT, "leaves": size, "checkpoints": 1, "files": files}
    (folder / "export.json").write_bytes(canonical(manifest) + b"\n")
