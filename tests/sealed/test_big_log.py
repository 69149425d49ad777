"""A large log is verified offline in the time that it may take."""

import json
import os
import time
from pathlib import Path
from typing import Any

from computenet_client.verifier import export as verifier
from marketplace.actions.exports import leaf_line
from marketplace.domain.encoding import canonical
from marketplace.domain.merkle import leaf_hash
from tests.sealed import export as made

LEAVES = int(os.environ.get("COMPUTENET_TEST_LEAVES", "100000"))


def lives(count: int) -> Any:
    """Leaves of many jobs' whole lives, as a network writes them: all sorts of rows."""
    at, numbers = "2026-01-31T12:00:00.000000Z", iter(range(1, 10**9))

    def transfer(code: str, source: tuple[int, str], destination: tuple[int, str], job: str | None) -> dict[str, Any]:
        row = next(numbers)
        sides = [{"account": account, "kind": kind} for account, kind in (source, destination)]
        return {"kind": "transfer", "id": row, "code": code, "amount": 50_000_000, "from": sides[0], "to": sides[1],
                "job": job, "key": f"{row}:{code}", "at": at}  # fmt: skip

    def event(job: str, before: str, after: str) -> dict[str, Any]:
        return {"kind": "event", "id": next(numbers), "event": f"job.{after}", "job": job, "assignment": None,
                "worker": None, "before": before, "after": after, "at": at, "private": "0" * 64}  # fmt: skip

    states = ("pending", "assigned", "computing", "completed")
    for i in range(-(-count // 9)):
        job, escrow = f"00000000-0000-4000-8000-{i:012d}", (10 + i, "escrow")
        yield transfer("mint", (1, "issuance"), (2, "wallet"), None)
        yield transfer("hold", (2, "wallet"), escrow, job)
        yield from (event(job, before, after) for before, after in zip(("", *states), states, strict=False))
        yield {"kind": "verdict", "id": next(numbers), "job": job, "assignment": f"a{i}", "attempt": 1, "worker": "w",
               "outcome": "accepted", "method": "m", "fault": "", "error_chance": "0", "at": at}  # fmt: skip
        yield transfer("capture", escrow, (3, "wallet"), job)
        yield event(job, "completed", "verified")


def test_a_hundred_thousand_leaves_are_verified_in_under_ten_seconds(tmp_path: Path, capsys):
    folder = tmp_path / "export"
    folder.mkdir()
    tree = verifier.Tree()
    with (folder / "leaves.jsonl").open("wb") as file:
        for number, leaf in enumerate(lives(LEAVES)):
            content = canonical(leaf)
            hash_ = leaf_hash(content)
            tree.add(hash_)
            file.write(leaf_line(number, hash_.hex(), content.decode()))
    made.sign(folder, tree.size, tree.root().hex())
    began = time.process_time()
    report, replay = verifier.verify(folder, None)
    seconds = time.process_time() - began
    assert report.ok, report.problems
    assert report.leaves >= LEAVES
    assert replay.accounts[3].balance == report.leaves // 9 * 50_000_000
    with capsys.disabled():
        print(f"\n{report.leaves:,} leaves verified in {seconds:.1f} s of CPU time")
    assert seconds < 10 * max(LEAVES, 100_000) / 100_000
    lines = (folder / "leaves.jsonl").read_bytes()
    at = len(lines) // 2
    (folder / "leaves.jsonl").write_bytes(lines[:at] + bytes([lines[at] ^ 1]) + lines[at + 1 :])
    code, found = made.alone(folder)
    assert (code, found["first_bad_leaf"]) == (1, lines[:at].count(b"\n"))
    assert json.dumps(found)
