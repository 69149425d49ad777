"""Who gets what of a job's escrow. Every split sums to the whole, in micro-tokens."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Split:
    """What leaves an escrow account: to the worker's wallet, and back to the client's."""

    captured: int
    voided: int


def on_verified(escrow: int) -> Split:
    return Split(captured=escrow, voided=0)


def on_failed(escrow: int) -> Split:
    return Split(captured=0, voided=escrow)


def on_cancelled(escrow: int, *, computing: bool, cancel_share: float) -> Split:
    """A worker that was computing keeps `cancel_share` of the reward for its trouble."""
    captured = min(escrow, int(escrow * cancel_share)) if computing else 0
    return Split(captured=captured, voided=escrow - captured)


def slash(*, stake: int, reward: int, share: float) -> int:
    """What a wrong answer costs: the smaller of `share` of the stake and the job's reward."""
    return min(int(stake * share), reward, stake)
