"""Every threat has a defence and a test, and every test that the threat model names exists."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "threat-model.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in TEXT.splitlines()
    if line.startswith("|") and not line.startswith(("| ---", "| threat |"))
]
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)


def names_in(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text()))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_threat_has_a_defence_and_a_test() -> None:
    assert len(ROWS) >= 40
    for row in ROWS:
        assert len(row) == 3 and all(row), row
        assert re.search(r"`tests/[\w/]+\.py::test_\w+`", row[2]), row[0]


def test_every_named_test_exists() -> None:
    assert len(NAMED) >= 50
    missing = [f"{path}::{name}" for path, name in NAMED if not (ROOT / path).is_file()]
    missing += [
        f"{path}::{name}" for path, name in NAMED if (ROOT / path).is_file() and name not in names_in(ROOT / path)
    ]
    assert not missing
