"""Tokens at the edges, integers inside."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.domain.errors import Refused
from marketplace.domain.money import MAX_MICRO, MICRO, to_micro, to_tokens


@given(st.integers(0, MAX_MICRO))
def test_any_amount_survives_json_and_back(micro):
    assert to_micro(json.loads(json.dumps(to_tokens(micro)))) == micro


def test_a_whole_amount_reads_as_an_integer():
    assert (to_tokens(50 * MICRO), type(to_tokens(50 * MICRO))) == (50, int)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("50", "must be a number"),
        (True, "must be a number"),
        (None, "must be a number"),
        ([1], "must be a number"),
        (float("nan"), "finite"),
        (Decimal("NaN"), "finite"),
        (Decimal("Infinity"), "finite"),
        (float("inf"), "finite"),
        (-1, "zero or more"),
        (1e10, "at most"),
        (10**400, "at most"),
        (0.0000001, "6 decimals"),
    ],
)
def test_what_is_no_amount_is_refused_in_a_sentence(given, sentence):
    with pytest.raises(Refused, match=f"reward.*{sentence}"):
        to_micro(given, name="reward")


def test_a_minimum_is_named_in_tokens():
    with pytest.raises(Refused, match="stake_amount must be at least 100 tokens"):
        to_micro(99.999999, name="stake_amount", minimum=100 * MICRO)
