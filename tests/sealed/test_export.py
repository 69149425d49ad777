"""An export is checked anywhere with the standard library, and whatever is changed in it is found and named."""

import json
import random
import shutil
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from computenet_client.verifier import export as verifier
from computenet_client.verifier.command import check, sentences
from computenet_client.verifier.encoding import Bad
from marketplace.actions import checkpoints
from marketplace.models import Account, Checkpoint, Job, Leaf
from tests import factories as make
from tests.sealed import export as made

FLIPS = 1_000


@pytest.fixture
def exported(db, tmp_path):
    lived = made.live()
    return made.write(tmp_path / "export"), lived


def leaves_of(folder: Path) -> list[dict]:
    return [json.loads(line)["leaf"] for line in (folder / "leaves.jsonl").read_text().splitlines()]


def test_a_whole_export_holds_and_proves_every_balance_and_every_receipt(exported):
    folder, lived = exported
    found = check(folder)
    assert found["ok"], found["problems"]
    assert found["leaves"] == Leaf.objects.count() > 40
    assert found["signature"] == "checked"
    _, replay = verifier.verify(folder, None)
    assert {key: (a.kind, a.balance) for key, a in replay.accounts.items()} == {
        a.pk: (a.kind, a.balance) for a in Account.objects.exclude(last_transfer=0)
    }
    assert {key: job.state for key, job in replay.jobs.items()} == {str(j.pk): j.state for j in Job.objects.all()}
    wallet = lived["client"].wallet_id
    assert check(folder, balance=wallet)["balance"]["balance"] == Account.objects.get(pk=wallet).balance
    receipt = check(folder, receipt=str(lived["paid"].pk))["receipt"]
    assert (receipt["state"], receipt["accepted"]) == ("verified", True)
    assert receipt["moved"] == {"hold": 50_000_000, "capture": 50_000_000}
    assert any("holds" in each for each in sentences(check(folder, balance=wallet)))
    for wrong in ({"balance": 999_999}, {"receipt": "none"}):
        with pytest.raises(Bad, match="knows no"):
            check(folder, **wrong)


def test_the_verifier_needs_the_standard_library_and_says_what_it_did_not_check(exported):
    folder, lived = exported
    code, found = made.alone(folder, "--balance", lived["client"].wallet_id)
    assert (code, found["ok"], found["signature"]) == (0, True, "not checked")
    assert found["balance"]["kind"] == "wallet"
    assert any("not checked" in each for each in sentences(found))
    (folder / "leaves.jsonl").write_bytes((folder / "leaves.jsonl").read_bytes().replace(b"capture", b"captur3", 1))
    code, found = made.alone(folder)
    assert (code, found["ok"]) == (1, False)


@pytest.mark.parametrize("with_signatures", [True, False])
def test_a_thousand_byte_flips_are_all_found_and_located(exported, monkeypatch, with_signatures):
    folder, _ = exported
    make.make_job(reward=20)
    checkpoints.seal_and_sign()
    shutil.rmtree(folder)
    made.write(folder)
    monkeypatch.setattr("computenet_client.verifier.checkpoints.CAN_CHECK", with_signatures)
    draw = random.Random(6962)
    files = {file: file.read_bytes() for file in sorted(folder.iterdir())}
    sizes = [len(content) for content in files.values()]
    for _ in range(FLIPS):
        [file] = draw.choices(list(files), weights=sizes)
        content = bytearray(files[file])
        place = draw.randrange(len(content))
        content[place] ^= draw.randrange(1, 256)
        file.write_bytes(content)
        found = check(folder)
        file.write_bytes(files[file])
        line = files[file][:place].count(b"\n")
        said = (file.name, place, content[place], found["problems"])
        assert not found["ok"], said
        where = found["problems"][0]["where"]
        if file.name == "leaves.jsonl":
            assert where == f"leaves.jsonl, line {line + 1}", said
            assert found["first_bad_leaf"] == line, said
        elif file.name == "checkpoints.jsonl":
            assert where == f"checkpoints.jsonl, line {line + 1}", said
        else:
            assert where == "export.json", said
    assert check(folder)["ok"]


def test_every_byte_of_the_small_files_matters(exported):
    folder, _ = exported
    for name in ("checkpoints.jsonl", "export.json"):
        file = folder / name
        whole = file.read_bytes()
        for place in range(len(whole)):
            file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            assert not check(folder)["ok"], (name, place)
        for cut in (0, 1, len(whole) - 1):
            file.write_bytes(whole[:cut])
            assert not check(folder)["ok"], (name, cut)
        file.write_bytes(whole + b"\n")
        assert not check(folder)["ok"], name
        file.write_bytes(whole)


def test_lines_that_are_gone_doubled_swapped_or_added_are_named(exported):
    folder, _ = exported
    file = folder / "leaves.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    changes = {
        "cut": (lines[:-1], len(lines) - 1),
        "gone": (lines[:5] + lines[6:], 5),
        "doubled": (lines[:6] + lines[5:], 6),
        "swapped": ([*lines[:5], lines[6], lines[5], *lines[7:]], 5),
        "added": ([*lines, lines[-1]], len(lines)),
        "empty": ([], 0),
        "no line at all": ([*lines[:5], b"\n", *lines[5:]], 5),
        "a line without end": ([*lines[:5], b"{" * 5_000_000, *lines[5:]], 5),
        "deep": ([*lines[:5], b'{"a":' * 100_000 + b"\n", *lines[5:]], 5),
        "a number without end": ([*lines[:5], b'{"leaf":{"a":' + b"9" * 10_000 + b"}}\n", *lines[5:]], 5),
    }
    for name, (changed, first) in changes.items():
        file.write_bytes(b"".join(changed))
        found = check(folder)
        assert (found["ok"], found["first_bad_leaf"]) == (False, first), (name, found["problems"])


def test_a_forger_without_the_key_is_found_by_the_checkpoints(exported):
    folder, _ = exported
    leaves = leaves_of(folder)
    leaves[0] |= {"at": "2001-01-01T00:00:00.000000Z"}
    made.relink(folder, leaves)
    found = check(folder)
    assert "is not that of the checkpoint" in found["problems"][0]["what"]
    assert found["problems"][0]["where"] == f"leaves.jsonl, lines 1 to {len(leaves)}"


def changed(leaves: list[dict], which, **more) -> list[dict]:
    [first, *_] = [number for number, leaf in enumerate(leaves) if which(leaf)]
    return [leaf | more if number == first else leaf for number, leaf in enumerate(leaves)]


def without(leaves: list[dict], which) -> list[dict]:
    [first, *_] = [number for number, leaf in enumerate(leaves) if which(leaf)]
    return leaves[:first] + leaves[first + 1 :]


def code(name: str):
    return lambda leaf: leaf.get("code") == name


def event(name: str):
    return lambda leaf: leaf.get("event") == name


FORGERIES = {
    "is paid and no verdict": lambda all_: changed(all_, lambda leaf: leaf["kind"] == "verdict", outcome="rejected"),
    "has a second capture": lambda all_: [
        *all_[: [code("capture")(x) for x in all_].index(True) + 1],
        next(x for x in all_ if code("capture")(x)) | {"id": 999, "key": "again"},
    ],
    "and pays": lambda all_: changed(all_, code("hold"), amount=10**15),
    "escrow is not empty": lambda all_: without(all_, code("void")),
    "does not go from": lambda all_: changed(all_, code("hold"), code="slash"),
    "was pending, not assigned": lambda all_: without(all_, event("job.assigned")),
    "does not become": lambda all_: changed(all_, event("job.computing"), after="verified"),
    "was used before": lambda all_: changed(all_, code("capture"), key=next(x["key"] for x in all_ if code("hold")(x))),
    "is sealed a second time": lambda all_: [*all_, all_[-1]],
    "own escrow": lambda all_: changed(all_, code("void"), **{"from": {"account": 998, "kind": "escrow"}}),
    "was a wallet before": lambda all_: changed(
        all_,
        code("hold"),
        to={"account": next(x["from"]["account"] for x in all_ if code("hold")(x)), "kind": "escrow"},
    ),
    "not of the format": lambda all_: without_key(all_, "key"),
    "a positive amount": lambda all_: changed(all_, code("hold"), amount=-5),
    "no leaf of the kind": lambda all_: changed(all_, code("hold"), kind="gift"),
    "not paid in full": lambda all_: (
        changed(all_, lambda x: code("capture")(x) and x["amount"] > 10**7, amount=1) and underpaid(all_)
    ),
    "reward is not held": lambda all_: without(all_, code("hold")),
    "second verdict": lambda all_: doubled_verdict(all_),
}


def without_key(leaves: list[dict], name: str) -> list[dict]:
    first = next(number for number, leaf in enumerate(leaves) if name in leaf)
    return [{k: v for k, v in leaf.items() if k != name} if n == first else leaf for n, leaf in enumerate(leaves)]


def underpaid(leaves: list[dict]) -> list[dict]:
    """The first payment cut short, and its rest given back."""
    at = next(n for n, leaf in enumerate(leaves) if code("capture")(leaf))
    rest = leaves[at] | {"id": 997, "code": "void", "key": "rest", "amount": leaves[at]["amount"] - 1}
    return [*leaves[:at], leaves[at] | {"amount": 1}, rest, *leaves[at + 1 :]]


def doubled_verdict(leaves: list[dict]) -> list[dict]:
    at = next(n for n, leaf in enumerate(leaves) if leaf["kind"] == "verdict")
    return [*leaves[: at + 1], leaves[at] | {"id": 996}, *leaves[at + 1 :]]


@pytest.mark.parametrize("what", FORGERIES)
def test_an_operator_with_the_key_still_cannot_write_what_must_not_happen(what, exported):
    """Replay finds it, before any root is compared."""
    folder, _ = exported
    made.relink(folder, FORGERIES[what](leaves_of(folder)))
    found = check(folder)
    assert what in found["problems"][0]["what"], found["problems"]
    assert found["first_bad_leaf"] is not None


def test_a_newer_export_extends_an_older_checkpoint_and_a_rewritten_one_does_not(exported, tmp_path):
    folder, _ = exported
    kept = tmp_path / "older.json"
    kept.write_text((folder / "checkpoints.jsonl").read_text().splitlines()[-1])
    make.make_job(reward=20)
    newer = made.write(tmp_path / "newer")
    found = check(newer, against=kept)
    assert (found["ok"], found["extends"]) == (True, True)
    older = json.loads(kept.read_text())
    kept.write_text(json.dumps(older | {"size": older["size"] - 1}))
    with pytest.raises(Bad, match="signature"):
        check(newer, against=kept)
    code_, found = made.alone(newer, "--against", kept)  # without signatures the root tells
    assert (code_, found["extends"]) == (1, False)
    kept.write_text((newer / "checkpoints.jsonl").read_text().splitlines()[-1])
    found = check(folder, against=kept)
    assert (found["ok"], found["extends"]) == (False, False)
    assert "cut off" in found["problems"][0]["what"]
    assert not check(newer, key="00" * 32)["ok"]
    assert check(newer, key=older["public_key"])["ok"]


def test_the_command_writes_an_export_and_never_over_another(db, tmp_path, capsys):
    made.live()
    folder = tmp_path / "out"
    call_command("export_state", str(folder), "--json")
    said = json.loads(capsys.readouterr().out)
    assert said["leaves"] == Leaf.objects.count()
    assert said["checkpoint"]["size"] == Checkpoint.objects.get().size
    assert check(folder)["ok"]
    with pytest.raises(CommandError, match="not empty"):
        call_command("export_state", str(folder))
    call_command("export_state", str(tmp_path / "again"))
    assert "leaves and 1 checkpoints are in" in capsys.readouterr().out
    assert (tmp_path / "again" / "leaves.jsonl").read_bytes() == (folder / "leaves.jsonl").read_bytes()


def test_an_empty_log_is_exported_and_checked(db, tmp_path):
    assert check(made.write(tmp_path / "empty"))["ok"]


def test_a_home_without_the_logs_key_makes_no_other_one(exported, settings, tmp_path):
    settings.COMPUTENET_HOME = tmp_path / "elsewhere"
    with pytest.raises(CommandError, match="LOG_KEY"):
        call_command("export_state", str(tmp_path / "more"))
