"""docs/glossary.md has every state of a job and every code of the ledger."""

import re

import pytest

from marketplace.domain.ledger import Code
from marketplace.domain.lifecycle import JobState
from tests.sandbox.running import ROOT

pytestmark = pytest.mark.docs
PAGE = (ROOT / "docs" / "glossary.md").read_text()


def test_every_state_of_a_job_has_a_paragraph() -> None:
    assert re.findall(r"^\*\*(\w+)\.\*\*", PAGE, re.MULTILINE) == [state.value for state in JobState]


def test_every_code_of_the_ledger_has_a_row() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == [code.value for code in Code]
