"""Newcomers on a stake that the treasury lends, and the tokens that the treasury has to lend."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from marketplace.actions.minting import mint
from marketplace.actions.workers import invite_worker
from marketplace.domain.errors import InsufficientFunds, NotFound, Refused
from marketplace.models import Contributor, Event, Transfer, Worker
from tests import factories as make
from tests.actions.rejected import TOKEN, answer_wrongly, balance, reread

pytestmark = pytest.mark.django_db


def invite(name: str = "new", lend: object = 100, user=None) -> Worker:
    invited = invite_worker(
        name=name, gpu_type="RTX 4090", compute_capacity=82.6, lend=lend, contributor_user=user, actor="olga"
    )
    make.enrol(invited.enrolment_key)
    return reread(invited.worker)


def run(command: str, *arguments: str) -> str:
    out = StringIO()
    call_command(command, *arguments, stdout=out)
    return out.getvalue()


def test_an_invited_worker_starts_on_a_lent_stake_without_tokens_of_its_own():
    mint(amount=1000, reason="to lend", actor="olga")
    worker = invite()
    assert (worker.lent, worker.stake.balance) == (100 * TOKEN, 100 * TOKEN)
    assert (balance("new"), balance("treasury", "treasury")) == (0, 900)
    assert Transfer.objects.get(code="lend").amount == 100 * TOKEN
    assert Event.objects.get(kind="worker.invited").actor == "olga"


def test_half_of_what_it_earns_pays_the_loan_back_until_it_is_paid():
    mint(amount=100, reason="to lend", actor="olga")
    worker = invite()
    make.make_client()
    for reward, owed, wallet in ((60, 70, 30), (120, 10, 90), (40, 0, 120), (10, 0, 130)):
        job = make.run_to_end(make.make_job(reward=reward))
        assert (reread(worker).lent / TOKEN, balance("new")) == (owed, wallet)
    assert job.state == "verified"
    assert balance("treasury", "treasury") == 100
    assert balance("new", "stake") == 100, "the stake is its own now"


def test_a_slash_of_a_lent_stake_leaves_the_loan_owed():
    mint(amount=100, reason="to lend", actor="olga")
    worker = invite()
    make.make_client()
    answer_wrongly(make.make_job(reward=50))
    assert (reread(worker).stake.balance, reread(worker).lent) == (90 * TOKEN, 100 * TOKEN)


def test_a_contributor_has_one_open_loan(django_user_model):
    mint(amount=1000, reason="to lend", actor="olga")
    user = django_user_model.objects.create_user("nina")
    first = invite("first", user=user)
    with pytest.raises(Refused, match="nina has a loan to pay back first"):
        invite("second", user=user)
    assert Worker.objects.count() == 1
    make.pay_back(first)
    invite("second", user=user)


def test_a_contributor_that_lost_its_standing_is_lent_nothing(django_user_model):
    mint(amount=1000, reason="to lend", actor="olga")
    user = django_user_model.objects.create_user("nina")
    first = invite("first", user=user)
    make.pay_back(first)
    make.set_reputation(10)
    with pytest.raises(Refused, match="reputation of nina"):
        invite("second", user=user)


@pytest.mark.parametrize("lend", [99, -1, float("inf"), "100", None])
def test_a_loan_below_the_least_stake_is_refused(lend):
    mint(amount=1000, reason="to lend", actor="olga")
    with pytest.raises(Refused):
        invite(lend=lend)
    assert not Worker.objects.exists()


def test_a_treasury_that_holds_too_little_lends_nothing():
    with pytest.raises(InsufficientFunds, match="treasury has 0 tokens"):
        invite()
    assert not Worker.objects.exists() and not Contributor.objects.exists()


def test_a_name_that_is_taken_is_refused():
    mint(amount=1000, reason="to lend", actor="olga")
    invite()
    with pytest.raises(Refused, match="The name new is taken"):
        invite()


def test_tokens_are_issued_to_the_treasury_or_to_a_wallet_with_a_reason_on_record():
    make.make_client(balance=5)
    assert "Issued 1,000.5 tokens; treasury holds 1,000.5 now." in run("mint", "1000.5", "--reason", "a start")
    run("mint", "7", "--to", "alice", "--reason", "a gift", "--actor", "olga")
    assert (balance("alice"), balance("treasury", "treasury")) == (12, 1000.5)
    newest = Event.objects.filter(kind="ledger.minted").first()
    assert (newest.actor, newest.reason) == ("olga", "7 tokens to wallet alice: a gift")


@pytest.mark.parametrize(
    "arguments", [["x", "--reason", "r"], ["NaN", "--reason", "r"], ["-5", "--reason", "r"], ["5", "--reason", " "]]
)
def test_minting_what_cannot_be_minted_is_refused(arguments):
    with pytest.raises(CommandError):
        run("mint", *arguments)
    assert not Transfer.objects.exists()


def test_minting_for_a_wallet_that_is_not_there_is_refused():
    with pytest.raises(NotFound):
        mint(amount=1, to="nobody", reason="r", actor="olga")


def test_the_command_invites_a_worker_and_prints_its_key_once(django_user_model):
    django_user_model.objects.create_user("nina")
    run("mint", "500", "--reason", "to lend")
    said = run("invite_worker", "ninas_4090", "--gpu", "RTX 4090", "--lend", "120", "--user", "nina")
    make.enrol(said.splitlines()[-1])
    worker = Worker.objects.get()
    assert (worker.name, worker.lent, worker.compute_capacity) == ("ninas_4090", 120 * TOKEN, 82.6)
    assert worker.contributor.user.username == "nina"
    with pytest.raises(CommandError, match="There is no user otto"):
        run("invite_worker", "ottos", "--user", "otto")
    with pytest.raises(CommandError, match="loan"):
        run("invite_worker", "second", "--user", "nina")
