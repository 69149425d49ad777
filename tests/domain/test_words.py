"""How counts and amounts read in a sentence."""

import pytest

from marketplace.domain.money import in_words
from marketplace.domain.words import counted


@pytest.mark.parametrize(
    ("count", "noun", "said"),
    [
        (0, "row", "0 rows"),
        (1, "row", "1 row"),
        (1200, "row", "1,200 rows"),
        (1, "entry,entries", "1 entry"),
        (2, "entry,entries", "2 entries"),
        (1.0, "token", "1 token"),
        (0.5, "token", "0.5 tokens"),
    ],
)
def test_a_count_agrees_with_its_noun(count, noun, said):
    assert counted(count, noun) == said


@pytest.mark.parametrize(
    ("micro", "said"),
    [
        (0, "0 tokens"),
        (1, "0.000001 tokens"),
        (1_000_000, "1 token"),
        (-2_500_000, "-2.5 tokens"),
        (10**15, "1,000,000,000 tokens"),
    ],
)
def test_an_amount_agrees_with_its_unit(micro, said):
    assert in_words(micro) == said
