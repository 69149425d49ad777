"""What a job must pay at least, so that nobody has the network store and check for nothing."""

from marketplace.domain.money import MICRO
from marketplace.domain.policy import Policy

GIGABYTE = 1e9
FREE_BYTES = 1_000_000
FREE_SECONDS = 1.0


def reward_floor(*, matrix_bytes: int, quoted_seconds: float, policy: Policy) -> int:
    """Micro-tokens: a price for each byte of the matrix and each quoted second, above what is free.

    The dearest check does the fit again, so the quoted time of the fit bounds what checking it costs.
    """
    stored = max(matrix_bytes - FREE_BYTES, 0) / GIGABYTE * policy.floor_per_gigabyte
    checked = max(quoted_seconds - FREE_SECONDS, 0.0) * policy.floor_per_check_second
    return max(policy.micro("minimum_reward"), round((stored + checked) * MICRO))
