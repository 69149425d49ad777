"""The numbers that `docs/economy.md` gives are those of the policy."""

import re
from pathlib import Path

from marketplace.domain.policy import Policy

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "economy.md").read_text(encoding="utf-8")


def test_the_table_of_the_economy_holds_the_policys_defaults() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| ([0-9.]+) \|", TEXT, re.MULTILINE)
    assert len(rows) > 15
    assert {name: float(value) for name, value in rows} == {
        name: float(getattr(Policy(), name.lower())) for name, _ in rows
    }
