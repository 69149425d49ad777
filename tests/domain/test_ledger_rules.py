"""What a list of postings does to balances."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.domain import escrow
from marketplace.domain.errors import InsufficientFunds
from marketplace.domain.ledger import AccountKind, AccountView, Code, Move, settle

K, C = AccountKind, Code
ACCOUNTS = {
    1: AccountView(K.ISSUANCE, "issuance", 0),
    2: AccountView(K.WALLET, "alice", 100),
    3: AccountView(K.WALLET, "bob", 0),
    4: AccountView(K.ESCROW, "job", 0),
}


def test_a_job_held_and_captured_moves_the_reward_from_client_to_worker():
    after = settle(ACCOUNTS, [Move(2, 4, 60, C.HOLD), Move(4, 3, 60, C.CAPTURE)])
    assert after == {1: 0, 2: 40, 3: 60, 4: 0}


def test_only_issuance_goes_below_zero():
    assert settle(ACCOUNTS, [Move(1, 2, 5, C.MINT)])[1] == -5
    with pytest.raises(InsufficientFunds, match="alice has 0.0001 tokens"):
        settle(ACCOUNTS, [Move(2, 3, 101, C.TRANSFER)])


def test_an_overdraft_in_the_middle_is_refused_though_the_end_would_be_covered():
    with pytest.raises(InsufficientFunds):
        settle(ACCOUNTS, [Move(3, 2, 10, C.TRANSFER), Move(2, 3, 50, C.TRANSFER)])


@pytest.mark.parametrize(
    "move", [Move(2, 3, 0, C.TRANSFER), Move(2, 3, -1, C.TRANSFER), Move(2, 2, 1, C.TRANSFER), Move(2, 3, 1, C.MINT)]
)
def test_a_move_that_cannot_be_is_our_own_mistake(move):
    with pytest.raises(ValueError):
        settle(ACCOUNTS, [move])


@given(st.lists(st.tuples(st.sampled_from([1, 2, 3]), st.sampled_from([2, 3]), st.integers(1, 200))))
def test_no_list_of_moves_makes_or_loses_a_token(raw):
    moves = [Move(a, b, n, C.MINT if a == 1 else C.TRANSFER) for a, b, n in raw if a != b]
    try:
        after = settle(ACCOUNTS, moves)
    except InsufficientFunds:
        return
    assert sum(after.values()) == sum(account.balance for account in ACCOUNTS.values())
    assert min(balance for key, balance in after.items() if key != 1) >= 0


@given(st.integers(1, 10**15), st.booleans(), st.floats(0, 1))
def test_a_cancelled_escrow_is_split_to_the_last_micro_token(reward, computing, share):
    split = escrow.on_cancelled(reward, computing=computing, cancel_share=share)
    assert split.captured + split.voided == reward
    assert split.captured >= 0
    assert split.voided >= 0


@given(st.integers(0, 10**15), st.integers(1, 10**15), st.floats(0, 1))
def test_a_slash_takes_no_more_than_the_stake_or_the_reward(stake, reward, share):
    assert 0 <= escrow.slash(stake=stake, reward=reward, share=share) <= min(stake, reward)
