"""Tokens at the edges, integers of a millionth of a token inside."""

import math
from decimal import Decimal, InvalidOperation

from marketplace.domain.errors import Refused

MICRO = 1_000_000
MAX_TOKENS = 1_000_000_000
MAX_MICRO = MAX_TOKENS * MICRO  # below 2**53, so exact as a JSON number


def to_micro(tokens: object, *, name: str = "amount", minimum: int = 0) -> int:
    """`tokens` (an int, a float or a Decimal) in micro-tokens.

    Raises:
        Refused: not a number, not finite, below `minimum` micro-tokens, above 10⁹ tokens, or finer than 6 decimals.
    """
    if isinstance(tokens, bool) or not isinstance(tokens, (int, float, Decimal)):
        raise Refused(f"{name} must be a number of tokens.")
    finite = tokens.is_finite() if isinstance(tokens, Decimal) else isinstance(tokens, int) or math.isfinite(tokens)
    if not finite:
        raise Refused(f"{name} must be a finite number of tokens.")
    if not -MAX_TOKENS <= tokens <= MAX_TOKENS:
        raise Refused(f"{name} must be at most {MAX_TOKENS:,} tokens.")
    try:
        micro = Decimal(str(tokens)) * MICRO
    except InvalidOperation:
        raise Refused(f"{name} must be a finite number of tokens.") from None
    if micro != micro.to_integral_value():
        raise Refused(f"{name} must have at most 6 decimals.")
    if micro < minimum:
        at_least = f"at least {in_words(minimum)}" if minimum > 1 else "more than zero"
        raise Refused(f"{name} must be {at_least if minimum else 'zero or more'}.")
    return int(micro)


def to_tokens(micro: int) -> int | float:
    """Micro-tokens as the JSON number that a client reads: an int where whole, else a float with 6 decimals."""
    return micro // MICRO if micro % MICRO == 0 else micro / MICRO


def in_digits(micro: int) -> str:
    """Micro-tokens as people read tokens: 1234500000 → "1,234.5"."""
    sign, (whole, rest) = "-" if micro < 0 else "", divmod(abs(micro), MICRO)
    return f"{sign}{whole:,}" + (f".{rest:06}".rstrip("0") if rest else "")


def in_words(micro: int) -> str:
    """Micro-tokens with their unit: 1000000 → "1 token", 2500000 → "2.5 tokens"."""
    return f"{in_digits(micro)} token{'' if micro == MICRO else 's'}"
