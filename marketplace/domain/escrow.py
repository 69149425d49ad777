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


@dataclass(frozen=True)
class Slash:
    """What a wrong answer costs a worker, in micro-tokens: where it is taken from and where it goes."""

    from_stake: int
    from_unbonding: int
    to_client: int  # the rest goes to the treasury

    @property
    def total(self) -> int:
        return self.from_stake + self.from_unbonding


def split_slash(*, stake: int, unbonding: int, lent: int, reward: int, share: float, to_client_share: float) -> Slash:
    """A slash is counted on all that the worker put at risk, and reaches what is on its way out last.

    `lent` is what of it is still owed to the treasury. The client shares in what the worker loses of its own: out of a
    lent stake it would be paid by the treasury, and a client and a worker in league would take the loan that way.
    """
    total = slash(stake=stake + unbonding, reward=reward, share=share)
    from_stake = min(stake, total)
    own = min(total, max(0, stake + unbonding - lent))
    return Slash(from_stake, total - from_stake, int(own * to_client_share))


def repayment(*, earned: int, lent: int, share: float) -> int:
    """What of `earned` goes to pay back a lent stake."""
    return min(lent, int(earned * share))


def slash(*, stake: int, reward: int, share: float) -> int:
    """What a wrong answer costs: the smaller of `share` of the stake and the job's reward."""
    return min(int(stake * share), reward, stake)
