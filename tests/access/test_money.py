"""Tokens that are given and sent: grants, the faucet, the token's own calls."""

from datetime import UTC, datetime
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth.models import User
from django.test import Client

from marketplace.actions import coordination, grants, minting, payouts
from marketplace.models import Account, Event, Grant, Transfer
from tests.api.calls import is_refused, post, register_client, row_counts
from tests.dashboard import cast

pytestmark = pytest.mark.django_db


def logged_in(user: Any) -> Client:
    http = Client()
    http.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return http


def balance(name: str) -> float:
    return Account.objects.get(kind="wallet", name=name).balance / 1e6


@pytest.fixture
def alice(settings: Any) -> Client:
    user = cast.alice()
    cast.a_client("alices_lab", user)
    cast.a_client("bobs_lab", cast.bob())
    settings.SANDBOX = False
    return logged_in(user)


@pytest.fixture
def bob(alice: Client) -> Client:
    return logged_in(User.objects.get(username="bob"))


# grants


def test_a_grant_is_paid_at_once_and_once(alice: Client) -> None:
    minting.mint(amount=100, reason="for grants", actor="olga")
    olga = logged_in(cast.olga())
    made = post(olga, "/grants", {"to": "alices_lab", "amount": 12.5, "period": "once"}).json()
    assert made["paid_for"] == "once" and balance("alices_lab") == 1012.5
    for _ in range(3):
        coordination.run_cycle(assign=False)
    assert balance("alices_lab") == 1012.5
    assert Event.objects.filter(kind="grant.made", actor="olga").count() == 1


def test_a_monthly_grant_is_paid_once_a_month_until_it_is_stopped(alice: Client, monkeypatch: Any) -> None:
    minting.mint(amount=100, reason="for grants", actor="olga")
    now = [datetime(2031, 1, 31, 23, 59, tzinfo=UTC)]
    monkeypatch.setattr(grants, "database_now", lambda: now[0])
    made = grants.make_grant(to="alices_lab", amount=10, period="monthly", actor="olga")
    assert (grants.pay_due(), balance("alices_lab")) == (0, 1010)
    now[0] = datetime(2031, 2, 1, 0, 0, tzinfo=UTC)
    assert (grants.pay_due(), grants.pay_due(), balance("alices_lab")) == (1, 0, 1020)
    now[0] = datetime(2031, 3, 5, tzinfo=UTC)
    grants.stop_grant(grant_id=made.pk, actor="olga")
    assert (grants.pay_due(), balance("alices_lab")) == (0, 1020)
    keys = set(Transfer.objects.filter(code="grant").values_list("idempotency_key", flat=True))
    assert keys == {f"grant:{made.pk}:2031-01", f"grant:{made.pk}:2031-02"}


def test_a_grant_waits_while_the_treasury_is_empty(alice: Client) -> None:
    grants.make_grant(to="alices_lab", amount=10, period="once", actor="olga")
    coordination.run_cycle(assign=False)
    assert (Grant.objects.get().paid_for, balance("alices_lab")) == ("", 1000)
    minting.mint(amount=100, reason="for grants", actor="olga")
    coordination.run_cycle(assign=False)
    assert (Grant.objects.get().paid_for, balance("alices_lab")) == ("once", 1010)


def test_a_grant_waits_while_payouts_are_frozen(alice: Client) -> None:
    minting.mint(amount=100, reason="for grants", actor="olga")
    payouts.freeze(actor="olga", reason="a look at the books")
    grants.make_grant(to="alices_lab", amount=10, period="once", actor="olga")
    assert (grants.pay_due(), balance("alices_lab")) == (0, 1000)
    payouts.thaw(actor="olga")
    assert (grants.pay_due(), balance("alices_lab")) == (1, 1010)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"to": "nobody", "amount": 1, "period": "once"}, 404),
        ({"to": "alices_lab", "amount": 0, "period": "once"}, 400),
        ({"to": "alices_lab", "amount": -1, "period": "once"}, 400),
        ({"to": "alices_lab", "amount": 1, "period": "daily"}, 400),
    ],
)
def test_a_grant_that_cannot_be_leaves_nothing(alice: Client, body: dict[str, Any], status: int) -> None:
    olga, before = logged_in(cast.olga()), row_counts()
    is_refused(post(olga, "/grants", body), status)
    assert row_counts() == before


# minting


def test_an_operator_names_a_clients_balance_and_it_is_written_down(alice: Client) -> None:
    olga = logged_in(cast.olga())
    assert register_client(olga, "new_lab", initial_balance=70).json()["balance"] == 70
    assert "70 tokens to new_lab" in Event.objects.get(kind="ledger.minted").reason
    is_refused(register_client(alice, "own_lab", initial_balance=70), 403)
    is_refused(register_client(olga, "odd_lab", initial_balance=-1))


# the faucet


def test_the_faucet_gives_once_to_an_account_with_a_confirmed_address(alice: Client, settings: Any) -> None:
    settings.FAUCET_TOKENS, settings.FAUCET_DAILY_CAP = 5, 100
    user = User.objects.get(username="alice")
    is_refused(post(alice, "/token/faucet", {"to": "alices_lab"}), 403)  # no address is confirmed
    address = EmailAddress.objects.create(user=user, email="alice@example.org")
    is_refused(post(alice, "/token/faucet", {"to": "alices_lab"}), 403)
    EmailAddress.objects.filter(pk=address.pk).update(verified=True)
    is_refused(post(alice, "/token/faucet", {"to": "alices_lab"}))  # the treasury is empty
    minting.mint(amount=100, reason="for the faucet", actor="olga")
    is_refused(post(alice, "/token/faucet", {"to": "bobs_lab"}), 404)
    assert post(alice, "/token/faucet", {"to": "alices_lab"}).json()["balance"] == 1005
    register_client(alice, "second_lab")
    for name in ("alices_lab", "second_lab"):
        is_refused(post(alice, "/token/faucet", {"to": name}), 409)


def test_the_faucet_ends_for_the_day_at_its_cap_and_is_off_unless_set(
    alice: Client, bob: Client, settings: Any
) -> None:
    minting.mint(amount=100, reason="for the faucet", actor="olga")
    for name in ("alice", "bob"):
        user = User.objects.get(username=name)
        EmailAddress.objects.create(user=user, email=f"{name}@example.org", verified=True)
    assert "no faucet" in is_refused(post(alice, "/token/faucet", {"to": "alices_lab"}))
    settings.FAUCET_TOKENS, settings.FAUCET_DAILY_CAP = 5, 9
    assert post(alice, "/token/faucet", {"to": "alices_lab"}).status_code == 200
    assert "tomorrow" in is_refused(post(bob, "/token/faucet", {"to": "bobs_lab"}))


# the token's calls


def test_the_token_says_what_it_is_and_how_much_of_it_there_is(alice: Client) -> None:
    about = alice.get("/token").json()
    assert about == {"name": "computenet token", "symbol": "CNT", "decimals": 6, "total_supply": 2000}
    minting.mint(amount=0.5, reason="a trial", actor="olga")
    assert alice.get("/token").json()["total_supply"] == 2000.5


def test_a_transfer_moves_tokens_of_ones_own(alice: Client, bob: Client) -> None:
    assert post(alice, "/token/transfer", {"to": "bobs_lab", "amount": 2.5}).json()["balance"] == 997.5
    assert bob.get("/token/balance/bobs_lab").json() == {"name": "bobs_lab", "balance": 1002.5}
    is_refused(bob.get("/token/balance/alices_lab"), 404)
    before = row_counts()
    is_refused(post(bob, "/token/transfer", {"from": "alices_lab", "to": "bobs_lab", "amount": 1}), 404)
    is_refused(post(alice, "/token/transfer", {"to": "alices_lab", "amount": 1}))
    is_refused(post(alice, "/token/transfer", {"to": "nobody", "amount": 1}), 404)
    is_refused(post(alice, "/token/transfer", {"to": "treasury", "amount": 1}), 404)
    for amount in (0, -1, 1e-7, 10**10, 5000, "5", True, None):
        is_refused(post(alice, "/token/transfer", {"to": "bobs_lab", "amount": amount}))
    assert row_counts() == before


def test_one_with_several_wallets_says_which(alice: Client) -> None:
    register_client(alice, "second_lab")
    assert "several wallets" in is_refused(post(alice, "/token/transfer", {"to": "bobs_lab", "amount": 1}))
    sent = post(alice, "/token/transfer", {"from": "alices_lab", "to": "second_lab", "amount": 1})
    assert sent.json()["balance"] == 999


def test_a_repeated_transfer_moves_once(alice: Client, bob: Client) -> None:
    head = {"Idempotency-Key": "rent"}
    body = {"to": "bobs_lab", "amount": 3}
    for _ in range(3):
        assert post(alice, "/token/transfer", body, headers=head).json()["balance"] == 997
    is_refused(post(alice, "/token/transfer", body | {"amount": 4}, headers=head), 422)
    assert post(bob, "/token/transfer", {"to": "alices_lab", "amount": 3}, headers=head).json()["balance"] == 1000


def test_an_allowance_is_taken_up_to_its_amount_and_no_further(alice: Client, bob: Client) -> None:
    ask = "/token/allowance?owner=alices_lab&spender=bobs_lab"
    take = {"from": "alices_lab", "to": "bobs_lab", "amount": 4}
    assert "0 tokens" in is_refused(post(bob, "/token/transfer-from", take))
    assert post(alice, "/token/approve", {"spender": "bobs_lab", "amount": 10}).json()["allowance"] == 10
    assert post(bob, "/token/transfer-from", take).json()["allowance"] == 6
    assert bob.get(ask).json() == {"owner": "alices_lab", "spender": "bobs_lab", "allowance": 6}
    is_refused(post(bob, "/token/transfer-from", take | {"amount": 6.000001}))
    assert post(alice, "/token/approve", {"spender": "bobs_lab", "amount": 0}).json()["allowance"] == 0
    is_refused(post(bob, "/token/transfer-from", take))
    assert balance("bobs_lab") == 1004


def test_an_allowance_over_an_empty_wallet_moves_nothing_and_stays(alice: Client, bob: Client) -> None:
    post(alice, "/token/approve", {"spender": "bobs_lab", "amount": 5000})
    is_refused(post(bob, "/token/transfer-from", {"from": "alices_lab", "to": "bobs_lab", "amount": 2000}))
    left = alice.get("/token/allowance?owner=alices_lab&spender=bobs_lab").json()["allowance"]
    assert (left, balance("alices_lab")) == (5000, 1000)


def test_an_allowance_is_for_its_two_sides_to_know(alice: Client) -> None:
    carol = logged_in(cast.a_user("carol"))
    is_refused(carol.get("/token/allowance?owner=alices_lab&spender=bobs_lab"), 404)
    is_refused(alice.get("/token/allowance?owner=alices_lab"))
    assert "You have no wallet" in is_refused(post(carol, "/token/approve", {"spender": "bobs_lab", "amount": 1}))


def test_in_the_sandbox_wallets_are_named(settings: Any) -> None:
    cast.a_client("alice")
    cast.a_client("bob")
    http = Client()
    assert "Name the wallet in from" in is_refused(post(http, "/token/transfer", {"to": "bob", "amount": 1}))
    assert post(http, "/token/transfer", {"from": "alice", "to": "bob", "amount": 1}).json()["balance"] == 999
    assert post(http, "/token/approve", {"owner": "alice", "spender": "bob", "amount": 7}).json()["allowance"] == 7
    taken = post(http, "/token/transfer-from", {"from": "alice", "spender": "bob", "to": "bob", "amount": 2})
    assert taken.json()["allowance"] == 5
    assert http.get("/token/balance/bob").json()["balance"] == 1003
