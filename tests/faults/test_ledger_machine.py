"""The ledger against a model of a few dictionaries: any sequence of its verbs, with every request repeatable.

`COMPUTENET_MACHINE_RUNS=2000 COMPUTENET_MACHINE_STEPS=50` for more.
"""

from dataclasses import replace

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test import override_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from marketplace.actions import grants, minting, stakes, tokens
from marketplace.actions.audit import audit
from marketplace.actions.once import once
from marketplace.domain.errors import Refused
from marketplace.models import Account, Allowance
from tests import factories as make
from tests.faults.machine_settings import machine_settings

NAMES = ("alice", "bob", "carol")
names, amounts, keys = st.sampled_from(NAMES), st.integers(1, 120), st.sampled_from(["a", "b", "c", "d"])
MICRO = 1_000_000


class Ledger(RuleBasedStateMachine):
    """Balances in tokens by (kind, name). Whatever the model would not do, the ledger must refuse, and leave all be."""

    def __init__(self) -> None:
        super().__init__()
        self.atomic = transaction.atomic()
        self.atomic.__enter__()
        for name in NAMES:
            make.make_client(name, 100)
        make.make_worker("worker", stake=150)
        self.held = {("wallet", name): 100 for name in NAMES}
        self.held |= {("wallet", "worker"): 100, ("stake", "worker"): 150, ("unbonding", "worker"): 0}
        self.held |= {("treasury", "treasury"): 0}
        self.allowed: dict[tuple[str, str], int] = {}
        self.done: dict[str, tuple[str, str, int]] = {}

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.atomic.__exit__(None, None, None)

    def attempt(self, may: bool, action) -> bool:
        """The action succeeds exactly where the model says that it may."""
        try:
            with transaction.atomic():
                action()
        except Refused as refusal:
            assert not may, f"refused: {refusal}"
            return False
        assert may, "it was done, and should have been refused"
        return True

    def move(self, source: tuple[str, str] | None, to: tuple[str, str], amount: int) -> None:
        if source:
            self.held[source] -= amount
        self.held[to] += amount

    def wallet(self, name: str) -> Account:
        return Account.objects.get(kind="wallet", name=name)

    @rule(to=st.sampled_from([*NAMES, ""]), amount=amounts)
    def mint(self, to, amount):
        minting.mint(amount=amount, to=to, reason="drawn", actor="olga")
        self.move(None, ("wallet", to) if to else ("treasury", "treasury"), amount)

    @rule(to=names, amount=amounts)
    def grant(self, to, amount):
        made = grants.make_grant(to=to, amount=amount, period="once", actor="olga")
        paid = self.held["treasury", "treasury"] >= amount
        assert bool(made.paid_for) == paid
        if paid:
            self.move(("treasury", "treasury"), ("wallet", to), amount)
        grants.stop_grant(grant_id=made.pk, actor="olga")
        assert grants.pay_due() == 0

    @rule(source=names, to=names, amount=amounts, key=keys)
    def transfer(self, source, to, amount, key):
        asked, known = (source, to, amount), self.done.get(key)
        may = known == asked if known else source != to and self.held["wallet", source] >= amount

        def act() -> bytes:
            return str(tokens.transfer(source=self.wallet(source), to=to, amount=amount).pk).encode()

        if self.attempt(may, lambda: once(user=None, key=key, request=repr(asked).encode(), act=act)) and not known:
            self.done[key] = asked
            self.move(("wallet", source), ("wallet", to), amount)

    @rule(owner=names, spender=names, amount=st.integers(0, 100))
    def approve(self, owner, spender, amount):
        wallet = self.wallet(owner)
        if self.attempt(
            owner != spender, lambda: tokens.approve(owner=wallet, spender=spender, amount=amount, actor=owner)
        ):
            self.allowed[owner, spender] = amount

    @rule(owner=names, spender=names, to=names, amount=amounts)
    def transfer_from(self, owner, spender, to, amount):
        wallet = self.wallet(spender)
        may = owner != to and self.allowed.get((owner, spender), 0) >= amount <= self.held["wallet", owner]
        if self.attempt(may, lambda: tokens.transfer_from(owner=owner, spender=wallet, to=to, amount=amount)):
            self.allowed[owner, spender] -= amount
            self.move(("wallet", owner), ("wallet", to), amount)

    @rule(amount=amounts)
    def top_up(self, amount):
        stake = self.held["stake", "worker"]
        may = self.held["wallet", "worker"] >= amount and stake + amount >= 100
        if self.attempt(may, lambda: stakes.top_up(name="worker", amount=amount, user=None)):
            self.move(("wallet", "worker"), ("stake", "worker"), amount)

    @rule(amount=amounts)
    def unstake(self, amount):
        left = self.held["stake", "worker"] - amount
        if self.attempt(left == 0 or left >= 100, lambda: stakes.unstake(name="worker", amount=amount, user=None)):
            self.move(("stake", "worker"), ("unbonding", "worker"), amount)

    @rule()
    def release(self):
        stakes.release_due()  # the delay is none here
        self.move(("unbonding", "worker"), ("wallet", "worker"), self.held["unbonding", "worker"])

    @invariant()
    def balances_are_the_models(self):
        found = {(a.kind, a.name): a.balance for a in Account.objects.exclude(kind__in=["issuance", "escrow"])}
        found.setdefault(("unbonding", "worker"), 0)
        assert found == {key: tokens_ * MICRO for key, tokens_ in self.held.items()}
        left = {(a.owner.name, a.spender.name): a.amount for a in Allowance.objects.select_related("owner", "spender")}
        assert left == {pair: amount * MICRO for pair, amount in self.allowed.items()}


@pytest.mark.django_db
def test_the_ledger_does_what_its_model_does(monkeypatch):
    monkeypatch.setattr("marketplace.dispatch._send", lambda *args, **options: True)
    with override_settings(POLICY=replace(settings.POLICY, unbonding_seconds=0)):
        run_state_machine_as_test(Ledger, settings=machine_settings())
    assert connection.in_atomic_block
    assert audit().ok
