"""The picture of docs/ledger.md is the ledger's own table."""

import re

from marketplace.domain.ledger import ALLOWED, AccountKind
from tests.sandbox.running import ROOT

PAGE = (ROOT / "docs" / "ledger.md").read_text()


def test_the_picture_shows_what_each_code_joins_and_nothing_else() -> None:
    shown = re.findall(r"^  (\w+) -- (\w+) --> (\w+)$", PAGE, re.MULTILINE)
    rules = [(source, code, to) for code, pairs in ALLOWED.items() for source, to in pairs]
    assert sorted(shown) == sorted((str(source), str(code), str(to)) for source, code, to in rules)


def test_every_kind_of_account_has_a_row() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) == {kind.value for kind in AccountKind}
