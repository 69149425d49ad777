"""docs/settings.md says what the code says."""

import pytest

from computenet.reference import page
from tests.sandbox.running import ROOT

pytestmark = pytest.mark.docs


def test_the_page_of_settings_is_what_the_code_makes_of_it() -> None:
    made = "Make it anew: python -m computenet.reference > docs/settings.md"
    assert (ROOT / "docs" / "settings.md").read_text() == page(), made
