"""How much one JSON body may hold."""

import pytest

from marketplace.api import parsers


def test_half_a_million_values_are_the_most() -> None:
    most = parsers.MAX_VALUES
    assert len(parsers.loads(b"[" + b"1," * (most - 2) + b"1]")) == most - 1
    for body in (b"[" + b"1," * most + b"1]", b"[" + b"[]," * most + b"[]]", b"[" + b"{}," * (most // 2) + b"{}]"):
        with pytest.raises(ValueError, match="more than 500,000 values; upload"):
            parsers.loads(body)


def test_32_levels_are_the_deepest() -> None:
    assert parsers.loads(b"[" * 32 + b"]" * 32)
    for depth in (33, 1000, 200_000):
        with pytest.raises(ValueError, match="levels deep"):
            parsers.loads(b"[" * depth + b"]" * depth)
