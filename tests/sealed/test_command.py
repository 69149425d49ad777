"""`computenet verify`, as a person and a program call it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from computenet_client.cli import main
from marketplace.models import Account
from tests.sealed import export as made


@pytest.fixture
def folder(db, tmp_path: Path) -> Path:
    made.live()
    return made.write(tmp_path / "export")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["verify", *map(str, arguments)])


def test_an_export_that_holds_exits_with_0_and_one_that_does_not_with_1(folder):
    wallet = Account.objects.get(kind="wallet", name="alice").pk
    done = run(folder, "--balance", wallet)
    assert (done.exit_code, done.exception) == (0, None), done.output
    assert "leaves hold under the checkpoint" in done.output
    assert "Signature checked, by the key" in done.output
    assert f"Account {wallet} (wallet) holds" in done.output
    found = json.loads(run(folder, "--json").stdout)
    assert (found["ok"], found["problems"]) == (True, [])
    leaves = folder / "leaves.jsonl"
    leaves.write_bytes(leaves.read_bytes().replace(b'"amount":50000000', b'"amount":50000001', 1))
    done = run(folder)
    assert done.exit_code == 1
    assert "Its hash is not that of its content." in done.output
    assert "The first bad leaf is " in done.output
    done = run(folder, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["ok"] is False


def test_what_is_no_export_is_refused_in_a_sentence(folder, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    done = run(empty)
    assert done.exit_code == 3
    assert "checkpoints.jsonl cannot be read" in done.stderr.replace("\n", " ")
    (tmp_path / "text").write_text("text")
    assert run(tmp_path / "text").exit_code == 3
    assert run(tmp_path / "nothing").exit_code == 2
    (tmp_path / "log.json").write_text('{"checkpoint": null}')
    assert run(tmp_path / "log.json").exit_code == 1
    done = run(folder, "--balance", 999_999)
    assert (done.exit_code, "knows no account" in done.stderr) == (3, True)
    done = run(tmp_path / "log.json", "--balance", 3)
    assert (done.exit_code, "from a whole export" in done.stderr.replace("\n", " ")) == (3, True)
