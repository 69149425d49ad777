"""Markets run one by one, and what came of each strategy beside honest work."""

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from marketplace.domain.money import MICRO
from marketplace.domain.policy import Policy
from marketplace.domain.simulation.agents import ModelRates, Strategy
from marketplace.domain.simulation.market import Market
from marketplace.domain.simulation.setup import Setup

HOUR = 3600.0


@dataclass(frozen=True)
class Row:
    """One market: a strategy at one share of the workers. Profits in tokens per worker and virtual hour."""

    strategy: str
    title: str
    honest: bool  # the strategy is a way of honest work
    cheaters: float
    hours: float
    wrong: int  # answers that were not right
    detection: float | None  # of the wrong ones, the share that was not accepted; None where there were none
    paid_wrong: int
    honest_answers: int
    false_slashes: int  # honest answers that were rejected
    profit: float
    honest_profit: float
    noise: float  # the standard error of the difference of the two, by how much honest workers differ
    per_cheat: float | None  # tokens that a cheated job brought, less the own stake that it cost; energy not counted
    per_honest: float  # tokens that an honest worker's job brought
    jobs_failed: float  # share of the jobs
    checking: float  # verification's share of all computing
    gini: float  # of the honest workers' earnings: 0 where all earn the same

    @property
    def relative(self) -> float:
        """The profit over honest work's."""
        return self.profit / self.honest_profit if self.honest_profit else float("nan")


def run_market(setup: Setup, policy: Policy, rates: Mapping[str, ModelRates], seed: int) -> Row:
    rng = random.Random(f"{seed}:{setup.strategy.name}:{setup.cheaters}")
    market = Market(setup, policy, rates, rng)
    market.run()
    population, totals, hours = market.population, market.totals, market.ended_at / HOUR
    cheats, honest = population.people[: setup.cheating], population.people[setup.cheating :]
    always = honest + (cheats if setup.strategy.honest else [])
    profits = {person.id: population.profit(person) / hours for person in population.people}
    wrong = sum(person.wrong for person in population.people)
    paid_wrong = sum(person.paid_wrong for person in population.people)
    cheated = sum(person.cheats for person in cheats)
    answers = sum(person.answers for person in always)
    return Row(
        strategy=setup.strategy.name,
        title=setup.strategy.title,
        honest=setup.strategy.honest,
        cheaters=setup.cheaters,
        hours=hours,
        wrong=wrong,
        detection=1 - paid_wrong / wrong if wrong else None,
        paid_wrong=paid_wrong,
        honest_answers=answers,
        false_slashes=sum(person.rejections for person in always),
        profit=_mean([profits[person.id] for person in cheats]),
        honest_profit=_mean([profits[person.id] for person in honest]),
        noise=_deviation([profits[person.id] for person in honest]) * (1 / len(cheats) + 1 / len(honest)) ** 0.5,
        per_cheat=sum(person.from_cheats for person in cheats) / MICRO / cheated if cheated else None,
        per_honest=sum(profits[p.id] * hours + p.energy for p in honest) / max(1, sum(p.answers for p in honest)),
        jobs_failed=totals.failed / max(1, len(market.jobs)),
        checking=totals.checking / (totals.checking + totals.computing),
        gini=gini([profits[person.id] for person in honest]),
    )


def run_all(
    setup: Setup,
    policy: Policy,
    rates: Mapping[str, ModelRates],
    seed: int,
    strategies: Iterable[Strategy],
    shares: Sequence[float],
    done: Callable[[Row], None],
) -> list[Row]:
    """Every strategy at every share; `done` is called after each market."""
    rows, strategies = [], list(strategies)
    for share in shares:
        for strategy in strategies:
            rows.append(run_market(replace(setup, strategy=strategy, cheaters=share), policy, rates, seed))
            done(rows[-1])
    return rows


def strategies_that_pay(rows: Iterable[Row]) -> list[Row]:
    """The rows in which cheating earned as much as honest work, or more."""
    return [row for row in rows if not row.honest and row.profit >= row.honest_profit]


def table(rows: Sequence[Row]) -> str:
    """A Markdown table of one share's rows."""
    lines = [
        "| strategy | profit | of honest's | wrong | not paid | a cheated job brings | jobs failed | checking | Gini |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row.title} | {row.profit:,.0f} | {_relative(row)} | {row.wrong:,} | {_share(row.detection)} | "
        f"{_number(row.per_cheat)} | {row.jobs_failed:.1%} | {row.checking:.1%} | {row.gini:.3f} |"
        for row in rows
    ]
    return "\n".join(lines)


def summary(rows: Sequence[Row]) -> str:
    """What holds over all rows, in a few sentences."""
    wrong, paid = sum(row.wrong for row in rows), sum(row.paid_wrong for row in rows)
    answers, slashed = sum(row.honest_answers for row in rows), sum(row.false_slashes for row in rows)
    paying = strategies_that_pay(rows)
    caught = f"{1 - paid / wrong:.3%}" if wrong else "none"
    verdict = (
        "Cheating paid: " + "; ".join(f"{row.title} at {row.cheaters:.0%}" for row in paying) + "."
        if paying
        else "Every cheating strategy earned less than honest work at every share."
    )
    return (
        f"Of {wrong:,} wrong answers {paid:,} were paid (not paid: {caught}). "
        f"Of {answers:,} honest answers {slashed:,} were slashed. {verdict}"
    )


def gini(values: Sequence[float]) -> float:
    """Gini's coefficient of amounts that are not negative: 0 where all are equal, towards 1 where one has all."""
    ordered, total = sorted(values), sum(values)
    if not total > 0:
        return 0.0
    n = len(ordered)
    return sum((2 * i - n + 1) * value for i, value in enumerate(ordered)) / (n * total)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _deviation(values: Sequence[float]) -> float:
    """The sample's standard deviation."""
    middle = _mean(values)
    return math.sqrt(sum((value - middle) ** 2 for value in values) / max(1, len(values) - 1))


def _relative(row: Row) -> str:
    return f"{row.relative:.1%} ± {row.noise / abs(row.honest_profit):.1%}" if row.honest_profit else "–"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2%}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.2f}"
