"""Several at once, with real commits: limits, allowances, invitations, the faucet and grants hold."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.db import connection, connections, transaction

from marketplace.actions import grants, invitations, keys, minting, tokens
from marketplace.domain.errors import InsufficientFunds, Refused
from marketplace.models import Account, Allowance, Transfer
from tests.dashboard import cast

WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"


def at_once(act: Callable[[int], Any], count: int = 8) -> int:
    """How many of `count` calls were not refused."""

    def one(index: int) -> bool:
        try:
            act(index)
            return True
        except Refused:
            return False
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        return sum(pool.map(one, range(count)))


def test_requests_at_once_do_not_pass_a_keys_limit_together(committed_db: str) -> None:
    user = cast.alice()
    cast.a_client("alices_lab", user)
    cast.a_client("bobs_lab")
    made = keys.make_key(user=user, name="k", scopes=["submit"], spending_limit=10)
    source = tokens.wallet_named("alices_lab")
    assert at_once(lambda _: tokens.transfer(source=source, to="bobs_lab", amount=3, api_key=made.key)) == 3
    made.key.refresh_from_db()
    assert made.key.spent == 9_000_000


def test_transfers_to_and_fro_neither_overdraw_nor_wait_for_each_other(committed_db: str) -> None:
    names = ("alices_lab", "bobs_lab")
    for name in names:
        cast.a_client(name, balance=3)
    wallets = [tokens.wallet_named(name) for name in names]
    made = at_once(lambda i: tokens.transfer(source=wallets[i % 2], to=names[1 - i % 2], amount=2), 40)
    assert made == Transfer.objects.filter(code="transfer").count() > 0
    held = [tokens.wallet_named(name).balance for name in names]
    assert sum(held) == 6_000_000 and min(held) >= 0
    alice = tokens.wallet_named("alices_lab")
    assert at_once(lambda _: tokens.transfer(source=alice, to="bobs_lab", amount=1)) == held[0] // 1_000_000


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite writes one after the other")
@pytest.mark.parametrize("balance", [5, 3])
def test_a_transfer_that_waited_for_a_newer_one_follows_it_or_hears_what_is_left(
    committed_db: str, balance: int
) -> None:
    """Its id was drawn before the newer one's, which was faster to the lock."""
    for name in ("alices_lab", "bobs_lab"):
        cast.a_client(name, balance=balance)
    alice = tokens.wallet_named("alices_lab")

    def later() -> Transfer:
        try:
            return tokens.transfer(source=alice, to="bobs_lab", amount=2)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Account.objects.select_for_update(no_key=True).get(pk=alice.pk)
            waits = pool.submit(later)
            until = time.monotonic() + 30
            with connection.cursor() as cursor:
                while not cursor.execute(WAITING).fetchone()[0]:
                    assert time.monotonic() < until, "it did not wait"
            first = tokens.transfer(source=alice, to="bobs_lab", amount=2)
        if balance == 5:
            assert waits.result().pk > first.pk
        else:
            with pytest.raises(InsufficientFunds, match="alices_lab has 1 token, which is less than the 2"):
                waits.result()
    assert tokens.wallet_named("alices_lab").balance == 1_000_000


def test_an_allowance_is_not_spent_twice(committed_db: str) -> None:
    cast.a_client("alices_lab")
    cast.a_client("bobs_lab")
    alice, bob = tokens.wallet_named("alices_lab"), tokens.wallet_named("bobs_lab")
    tokens.approve(owner=alice, spender="bobs_lab", amount=10, actor="alice")
    assert at_once(lambda _: tokens.transfer_from(owner="alices_lab", spender=bob, to="bobs_lab", amount=4)) == 2
    assert Allowance.objects.get().amount == 2_000_000
    assert Account.objects.get(pk=alice.pk).balance == 992_000_000


def test_of_several_who_show_one_invitation_one_gets_in(committed_db: str) -> None:
    code = invitations.invite(roles=["client"], actor="olga").code
    users = [cast.a_user(f"user{index}", roles=()) for index in range(8)]
    assert at_once(lambda index: invitations.accept(code=code, user=users[index])) == 1
    assert sum(user.groups.count() for user in users) == 1


def test_the_faucet_gives_once_an_account_and_no_more_than_its_cap(committed_db: str, settings: Any) -> None:
    settings.FAUCET_TOKENS, settings.FAUCET_DAILY_CAP = 5, 12
    minting.mint(amount=1000, reason="for the faucet", actor="olga")
    users = [cast.a_user(f"user{index}") for index in range(4)]
    for user in users:
        cast.a_client(f"{user}_lab", user, balance=0)
        EmailAddress.objects.create(user=user, email=f"{user}@example.org", verified=True)

    def draw(index: int) -> None:
        user = users[index % 4]
        grants.draw_from_faucet(address=f"{user}_lab", user=user)

    assert at_once(draw) == 2
    assert Transfer.objects.filter(code="grant").count() == 2


def test_two_coordinators_pay_a_grant_once(committed_db: str) -> None:
    cast.a_client("alices_lab")
    grant = grants.make_grant(to="alices_lab", amount=5, period="once", actor="olga")
    assert grant.paid_for == ""  # the treasury was empty
    minting.mint(amount=1000, reason="for grants", actor="olga")
    paid = []
    at_once(lambda _: paid.append(grants.pay_due()))
    assert sum(paid) == 1
    assert Transfer.objects.filter(code="grant").count() == 1
