"""Stakes: topping up, taking out, and a slash that reaches all of it to the last micro-token."""

import pytest
from django.conf import settings
from hypothesis import given as drawn
from hypothesis import strategies as st

from marketplace.actions import contests, stakes
from marketplace.actions.minting import mint
from marketplace.actions.workers import invite_worker
from marketplace.domain.errors import InsufficientFunds, NotFound, Refused
from marketplace.domain.escrow import split_slash
from marketplace.models import Event, Transfer, Unbonding
from tests import factories as make
from tests.actions.rejected import TOKEN, answer_wrongly, balance, given, let_the_delay_pass, reread

MONEY = st.integers(0, 10**15)
SHARE = st.floats(0, 1, allow_nan=False)


@drawn(st.tuples(MONEY, MONEY, MONEY, MONEY), SHARE, SHARE)
def test_a_slash_is_split_to_the_last_micro_token_and_takes_the_stake_first(amounts, share, to_client):
    stake, unbonding, lent, reward = amounts
    cost = split_slash(
        stake=stake, unbonding=unbonding, lent=lent, reward=reward, share=share, to_client_share=to_client
    )
    assert 0 <= cost.from_stake <= stake and 0 <= cost.from_unbonding <= unbonding
    assert cost.from_unbonding == 0 or cost.from_stake == stake
    assert cost.total <= reward
    assert 0 <= cost.to_client <= min(cost.total, max(0, stake + unbonding - lent))


@pytest.mark.django_db
def test_topping_up_moves_tokens_from_the_wallet_to_the_stake_each_time():
    make.make_worker(stake=150)
    for left in (70, 40):
        stakes.top_up(name="rtx4090", amount=30, user=None)
        assert balance("rtx4090") == left
    assert balance("rtx4090", "stake") == 210
    assert Event.objects.filter(kind="worker.staked").count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize("amount", [0, -1, 1e-7, float("nan"), True, "5", None, 10**10])
def test_an_amount_that_cannot_be_one_is_refused(amount):
    make.make_worker()
    before = Transfer.objects.count()
    for act in (stakes.top_up, stakes.unstake):
        with pytest.raises(Refused):
            act(name="rtx4090", amount=amount, user=None)
    assert Transfer.objects.count() == before


@pytest.mark.django_db
def test_topping_up_with_more_than_the_wallet_holds_is_refused():
    make.make_worker()
    with pytest.raises(InsufficientFunds):
        stakes.top_up(name="rtx4090", amount=100.000001, user=None)
    assert balance("rtx4090", "stake") == 150


@pytest.mark.django_db
def test_another_users_stake_is_not_there(settings, django_user_model):
    make.make_worker()
    settings.SANDBOX = False
    eve = django_user_model.objects.create_user("eve")
    for act in (stakes.top_up, stakes.unstake):
        with pytest.raises(NotFound):
            act(name="rtx4090", amount=1, user=eve)
        with pytest.raises(NotFound):
            act(name="rtx4090", amount=1, user=None)


@pytest.mark.django_db
def test_unstaked_tokens_reach_the_wallet_after_the_delay_and_not_before():
    worker = make.make_worker(stake=150)
    row = stakes.unstake(name="rtx4090", amount=50, user=None)
    assert (row.release_at - row.created_at).total_seconds() == pytest.approx(settings.POLICY.unbonding_seconds, abs=5)
    assert stakes.release_due() == 0
    assert (balance("rtx4090", "stake"), balance("rtx4090", "unbonding"), balance("rtx4090")) == (100, 50, 100)
    assert not make.is_due("unbondings")
    let_the_delay_pass()
    assert make.is_due("unbondings") and (stakes.release_due(), stakes.release_due()) == (1, 0)
    assert (balance("rtx4090", "unbonding"), balance("rtx4090")) == (0, 150)
    assert reread(worker).stake.balance == 100 * TOKEN


@pytest.mark.django_db
def test_what_is_left_at_stake_is_the_least_stake_or_nothing():
    make.make_worker(stake=150)
    with pytest.raises(Refused, match="Leave at least 100 tokens"):
        stakes.unstake(name="rtx4090", amount=50.000001, user=None)
    with pytest.raises(Refused, match="150 tokens at stake"):
        stakes.unstake(name="rtx4090", amount=151, user=None)
    stakes.unstake(name="rtx4090", amount=150, user=None)
    assert balance("rtx4090", "stake") == 0


@pytest.mark.django_db
def test_stake_that_covers_rewards_in_hand_cannot_be_taken_out():
    make.make_client(balance=10_000)
    make.make_worker(stake=300)
    job = make.make_job(reward=2000)
    given(job)
    with pytest.raises(Refused, match="2,000 tokens of reward in hand"):
        stakes.unstake(name="rtx4090", amount=300, user=None)
    with pytest.raises(Refused, match="2,000 tokens of reward in hand"):
        stakes.unstake(name="rtx4090", amount=101, user=None)
    stakes.unstake(name="rtx4090", amount=100, user=None)


@pytest.mark.django_db
def test_a_worker_without_stake_gets_no_work():
    make.make_client()
    make.make_worker()
    stakes.unstake(name="rtx4090", amount=150, user=None)
    job = make.make_job()
    with pytest.raises(job.assignments.model.DoesNotExist):
        make.assign(job)


@pytest.mark.django_db
def test_a_slash_counts_and_reaches_stake_on_its_way_out():
    make.make_client(balance=10_000)
    make.make_worker(stake=1000)
    job = make.make_job(reward=950)
    assignment = given(job)
    stakes.unstake(name="rtx4090", amount=900, user=None)
    make.submit_answer(assignment, make.wrong_answer(job))
    make.verify(assignment)
    assert balance("rtx4090", "stake") == 0, "a tenth of all that it had at risk, out of the stake first"
    assert balance("rtx4090", "unbonding") == 900
    make.make_worker("second", stake=1000)


@pytest.mark.django_db
def test_a_slash_that_the_stake_does_not_cover_goes_on_into_what_is_on_its_way_out(settings):
    settings.POLICY = type(settings.POLICY)(slash_share=0.5)
    make.make_client(balance=10_000)
    make.make_worker(stake=1000)
    job = make.make_job(reward=901.000001)
    assignment = given(job)
    stakes.unstake(name="rtx4090", amount=900, user=None)
    before = balance("alice")
    make.submit_answer(assignment, make.wrong_answer(job))
    make.verify(assignment)
    assert (balance("rtx4090", "stake"), balance("rtx4090", "unbonding")) == (0, 500)
    assert (balance("alice") - before, balance("treasury", "treasury")) == (250, 250)
    let_the_delay_pass()
    stakes.release_due()
    assert balance("rtx4090") == 100 + 500, "what was slashed does not come out"


@pytest.mark.django_db
def test_release_waits_for_the_answer_of_work_that_was_given_before():
    make.make_client()
    make.make_worker(stake=300)
    job = make.make_job()
    assignment = given(job)
    row = stakes.unstake(name="rtx4090", amount=200, user=None)
    with make.without_guards():
        Unbonding.objects.update(release_at=row.created_at)
    make.submit_answer(assignment, make.right_answer(job))
    assert stakes.release_due() == 0, "its answer is not checked yet"
    make.verify(assignment)
    given(make.make_job())
    assert stakes.release_due() == 1, "work that came later rests on the stake that is left"


@pytest.mark.django_db
def test_release_waits_for_an_open_contest():
    make.make_client()
    make.make_worker(stake=300)
    stakes.unstake(name="rtx4090", amount=100, user=None)
    wrong = answer_wrongly(make.make_job())
    made = contests.contest(worker_name="rtx4090", assignment_id=wrong.pk, note="It was right.", user=None)
    let_the_delay_pass()
    assert stakes.release_due() == 0
    contests.uphold(contest_id=made.pk, actor="olga")
    assert stakes.release_due() == 1


@pytest.mark.django_db
def test_two_amounts_on_their_way_out_share_what_a_slash_left():
    make.make_worker(stake=100)
    stakes.unstake(name="rtx4090", amount=100, user=None)
    stakes.top_up(name="rtx4090", amount=100, user=None)
    stakes.unstake(name="rtx4090", amount=100, user=None)
    let_the_delay_pass()
    assert stakes.release_due() == 2
    assert balance("rtx4090") == 200


@pytest.mark.django_db
def test_stake_that_was_slashed_away_is_released_as_nothing(settings):
    settings.POLICY = type(settings.POLICY)(slash_share=1.0)
    make.make_client(balance=10_000)
    make.make_worker(stake=1000)
    job = make.make_job(reward=1000)
    assignment = given(job)
    stakes.unstake(name="rtx4090", amount=900, user=None)
    make.submit_answer(assignment, make.wrong_answer(job))
    make.verify(assignment)
    let_the_delay_pass()
    assert stakes.release_due() == 1
    assert (balance("rtx4090"), balance("rtx4090", "unbonding")) == (100, 0)


@pytest.mark.django_db
def test_a_loan_is_paid_back_out_of_stake_that_is_taken_out():
    make_treasury()
    worker = invite_worker(
        name="new", gpu_type="RTX 4090", compute_capacity=82.6, lend=100, contributor_user=None, actor="olga"
    ).worker
    stakes.unstake(name="new", amount=100, user=None)
    let_the_delay_pass()
    stakes.release_due()
    assert (balance("new"), balance("treasury", "treasury"), reread(worker).lent) == (0, 1000, 0)


def make_treasury(amount: float = 1000) -> None:
    mint(amount=amount, reason="to lend", actor="olga")


@pytest.mark.django_db
def test_only_what_is_no_longer_owed_comes_out_to_the_contributor():
    make_treasury()
    worker = invite_worker(
        name="new", gpu_type="RTX 4090", compute_capacity=82.6, lend=150, contributor_user=None, actor="olga"
    ).worker
    make.pay_back(worker, 120)
    stakes.unstake(name="new", amount=50, user=None)
    let_the_delay_pass()
    stakes.release_due()
    assert (balance("new"), reread(worker).lent) == (20, 0)


@pytest.mark.django_db
def test_a_top_up_that_does_not_reach_the_least_stake_is_refused():
    make.make_worker("small", stake=150)
    stakes.unstake(name="small", amount=150, user=None)
    with pytest.raises(Refused, match="A stake is at least 100 tokens"):
        stakes.top_up(name="small", amount=50, user=None)
