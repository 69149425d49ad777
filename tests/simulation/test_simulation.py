"""The simulated market: its books, its verdicts, and whether cheating pays in it."""

import json
import random
from dataclasses import replace

import pytest

from marketplace.domain.policy import Policy
from marketplace.domain.simulation.agents import BASELINE, STRATEGIES, ModelRates, Odds, Outcome, read_rates
from marketplace.domain.simulation.charts import all_charts
from marketplace.domain.simulation.market import Market
from marketplace.domain.simulation.report import Row, gini, run_all, run_market, strategies_that_pay, summary
from marketplace.domain.simulation.setup import Setup
from marketplace.management.commands.simulate import RATES

MEASURED = read_rates(json.loads(RATES.read_text()))
CHEATING = [strategy for strategy in STRATEGIES.values() if not strategy.honest]
SMALL = Setup(BASELINE, jobs=400, workers=20)


def market(strategy: str, *, policy: Policy | None = None, seed: int = 1, rates=MEASURED, **changes) -> Market:
    setup = replace(SMALL, strategy=STRATEGIES[strategy], **changes)
    made = Market(setup, policy or Policy(), rates, random.Random(seed))
    made.run()
    return made


def row(strategy: str, *, policy: Policy | None = None, seed: int = 1, rates=MEASURED, **changes) -> Row:
    return run_market(replace(SMALL, strategy=STRATEGIES[strategy], **changes), policy or Policy(), rates, seed)


@pytest.mark.parametrize("strategy", ["lying", "whitewashing", "lent_again", "colluding_lent", "one_in_5"])
def test_no_token_is_made_or_lost_and_no_escrow_keeps_any(strategy):
    made = market(strategy)
    assert made.books.total() == 0
    assert all(made.books.balance(job.escrow) == 0 for job in made.jobs)
    assert made.totals.verified + made.totals.failed + made.totals.cancelled == len(made.jobs)
    # What all people, clients and the treasury have between them is what came in from outside.
    names = [name for person in made.population.people for name in person.names]
    held = sum(made.books.balance(account) for n in names for account in (n.wallet, n.stake, n.unbonding))
    others = sum(made.books.balance(client.wallet) for client in made.population.clients)
    assert held + others + made.books.balance(1) == -made.books.balance(0)


@pytest.mark.parametrize("strategy", ["float32", "lying", "whitewashing", "colluding"])
def test_honest_workers_are_never_slashed(strategy):
    found = row(strategy, cheaters=0.4)
    assert found.honest_answers > 200
    assert found.false_slashes == 0


def test_same_seed_gives_the_same_report_and_another_seed_another():
    assert row("one_in_5", seed=3) == row("one_in_5", seed=3)
    assert row("one_in_5", seed=3) != row("one_in_5", seed=4)


def test_a_higher_slash_lowers_a_liars_profit_and_leaves_honest_work_alone():
    profits = [row("lying", policy=Policy(slash_share=share)) for share in (0.0, 0.1, 0.5)]
    assert profits[0].profit > profits[1].profit > profits[2].profit
    assert profits[0].honest_profit == pytest.approx(profits[2].honest_profit, rel=0.1)


def test_a_liar_that_nobody_catches_earns_more_than_honest_workers_so_the_simulation_can_fail():
    blind = {name: replace(model, error_chance=1.0) for name, model in MEASURED.items()}
    found = row("lying", rates=blind)
    assert found.detection == 0
    assert strategies_that_pay([found]) == [found]
    assert "Cheating paid: Lying at 20%." in summary([found])


def test_liars_are_deactivated_and_whitewashers_come_back():
    liars = [p for p in market("lying").population.people if p.strategy.name == "lying"]
    assert all(not person.names[0].active and len(person.names) == 1 for person in liars)
    washed = [p for p in market("whitewashing").population.people if p.strategy.returns]
    assert max(len(person.names) for person in washed) > 1
    assert all(person.brought == 100_000_000 * len(person.names) for person in washed)


def test_a_liar_on_a_lent_stake_loses_no_tokens_and_its_slashes_go_back_to_the_treasury():
    made = market("colluding_lent")
    ring = next(client for client in made.population.clients if client.ring)
    paid = sum(person.paid_wrong for person in made.population.people)
    assert paid == 0
    assert made.books.balance(ring.wallet) == 10**13, "the ring's client has got nothing out of the loans"
    assert all(person.from_cheats == 0 for person in made.population.people)


def test_an_honest_worker_pays_its_loan_back_and_keeps_the_stake():
    made = market("honest_lent", jobs=800)
    lent = [person for person in made.population.people if person.strategy.lent]
    assert all(person.names[0].lent == 0 for person in lent)
    assert all(made.books.balance(person.names[0].stake) == 100_000_000 for person in lent)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.4])
def test_every_cheating_strategy_earns_less_than_honest_work_at_default_settings(share):
    rows = []
    for strategy in CHEATING:
        # At 5 % two workers cheat. One that seldom does needs the full run, or there is nothing to compare.
        jobs = 4000 if share == 0.05 and strategy.every > 5 else 1000
        setup = Setup(BASELINE, jobs=jobs, workers=40 if share == 0.05 else 20)
        rows += run_all(setup, Policy(), MEASURED, 7, [strategy], [share], lambda row: None)
    assert len(rows) == len(CHEATING)
    assert strategies_that_pay(rows) == []
    assert all(row.wrong > 0 for row in rows)
    assert all(row.per_cheat < row.per_honest / 10 for row in rows)


def test_a_wrong_answer_is_taken_for_right_as_often_as_stated_and_no_less():
    rng = random.Random(1)
    odds = Odds(right=0, fooled=0, rejected=90, inconclusive=10)
    drawn = [odds.draw(0.05, rng) for _ in range(20_000)]
    assert drawn.count(Outcome.FOOLED) / len(drawn) == pytest.approx(0.05, abs=0.006)
    assert drawn.count(Outcome.INCONCLUSIVE) / len(drawn) == pytest.approx(0.095, abs=0.008)
    often = Odds(right=0, fooled=50, rejected=50, inconclusive=0)
    assert sum(often.draw(0.05, rng) is Outcome.FOOLED for _ in range(2000)) > 900
    assert Odds(right=9, fooled=0, rejected=0, inconclusive=0).draw(0.5, rng) is Outcome.RIGHT


def test_an_answer_within_the_tolerance_is_right_and_pays():
    """A strategy whose answers the catalogue finds right is honest work, however it came by them."""
    every = Odds(right=1, fooled=0, rejected=0, inconclusive=0)
    right = {n: ModelRates(m.error_chance, m.check_share, 1.0, dict(m.odds) | {"lying": every})
             for n, m in MEASURED.items()}  # fmt: skip
    found = row("lying", rates=right)
    assert found.wrong == 0
    assert found.profit > found.honest_profit, "it saves the energy"


def test_rates_without_trials_are_refused():
    document = json.loads(RATES.read_text())
    document["models"]["pca_analysis"]["odds"].pop("stale")
    with pytest.raises(ValueError, match="pca_analysis hold no trials of stale"):
        read_rates(document)


def test_gini_is_0_for_equals_and_near_1_where_one_has_all():
    assert gini([3.0] * 10) == 0
    assert gini([0.0] * 99 + [1.0]) == pytest.approx(0.99)


def test_curves_are_svg_with_a_title_and_a_description():
    rows = run_all(replace(SMALL, jobs=60), Policy(), MEASURED, 1, CHEATING[:2], [0.1, 0.4], lambda row: None)
    for name, text in all_charts(rows).items():
        assert name.endswith(".svg")
        assert text.startswith("<svg ")
        assert "<title" in text
        assert "<desc" in text
        assert text.count("<polyline") == 2
        assert len(text) < 20_000
