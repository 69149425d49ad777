"""How a contributor's score moves, and how much of it to believe when choosing."""

import math

from marketplace.domain.policy import Policy

Z_ONE_SIDED_95 = 1.645


def after_verified(reputation: float, policy: Policy) -> float:
    return min(100.0, reputation + policy.reputation_gain)


def after_rejected(reputation: float, policy: Policy) -> float:
    return max(0.0, reputation - policy.reputation_loss)


def after_no_show(reputation: float, policy: Policy) -> float:
    return max(0.0, reputation - policy.no_show_reputation)


def is_trusted(reputation: float, policy: Policy) -> bool:
    return reputation >= policy.reputation_minimum


def lower_bound(*, verified: int, rejected: int, reputation: float) -> float:
    """What a worker's chance of a right answer is at least, on 0 to 1, at 95 % confidence, scaled by its score.

    The lower end of Wilson's score interval (Wilson 1927) for `verified` of `verified + rejected` answers, so that a
    newcomer's 100 does not outrank a thousand verified jobs. Without answers it is 0.
    """
    n = verified + rejected
    if n == 0:
        return 0.0
    z2 = Z_ONE_SIDED_95**2
    p = verified / n
    centre = p + z2 / (2 * n)
    spread = Z_ONE_SIDED_95 * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return max(0.0, (centre - spread) / (1 + z2 / n)) * reputation / 100.0
