"""What a wrong answer costs, and who gets it."""

import pytest

from marketplace.domain.escrow import split_slash

SHARES = {"share": 0.1, "to_client_share": 0.5}


def test_slash_is_the_smaller_of_a_share_of_the_stake_and_the_reward():
    assert split_slash(stake=1000, unbonding=0, lent=0, reward=500, **SHARES).total == 100
    assert split_slash(stake=1000, unbonding=0, lent=0, reward=30, **SHARES).total == 30


def test_what_is_on_its_way_out_is_slashed_last():
    cost = split_slash(stake=40, unbonding=960, lent=0, reward=500, **SHARES)
    assert (cost.from_stake, cost.from_unbonding, cost.to_client) == (40, 60, 50)


@pytest.mark.parametrize(("lent", "to_client"), [(0, 50), (900, 50), (940, 30), (1000, 0), (1200, 0)])
def test_client_shares_in_what_the_worker_loses_of_its_own_and_not_in_a_loan(lent, to_client):
    cost = split_slash(stake=1000, unbonding=0, lent=lent, reward=500, **SHARES)
    assert cost.total == 100
    assert cost.to_client == to_client


def test_client_and_worker_in_league_never_gain_by_slashes():
    """Whatever is lent, what the client gets is at most half of what the worker would have taken out less."""
    for lent in range(0, 2000, 50):
        stake, lost, gained = 1000, 0, 0
        for _ in range(8):
            own = max(0, stake - lent)
            cost = split_slash(stake=stake, unbonding=0, lent=lent, reward=10**6, **SHARES)
            stake -= cost.total
            lost += own - max(0, stake - lent)
            gained += cost.to_client
        assert gained <= lost / 2
