"""Who takes part: the ways to work and to cheat, and how often the real checks see through each."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """What comes of an answer."""

    RIGHT = "right"  # accepted, and within the tolerance
    FOOLED = "fooled"  # accepted, and wrong
    REJECTED = "rejected"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Method:
    """One way to come by an answer. `cost` is its time and energy over honest work's."""

    name: str
    cost: float
    honest: bool = False


# The costs of cheating are on the cheater's side: half the rows for half the work, next to nothing for a lie.
METHODS = {
    method.name: method
    for method in (
        Method("honest", 1.0, honest=True),
        Method("float32", 1.0, honest=True),
        Method("subsample", 0.5),  # half of the rows
        Method("early_stop", 0.5),  # half of the iterations
        Method("perturbed", 0.2),  # roughly right, by 0.1 %
        Method("stale", 0.01),  # the answer to another job
        Method("lying", 0.01),  # numbers drawn from nowhere
    )
}
HONEST = METHODS["honest"]


@dataclass(frozen=True)
class Strategy:
    """What a person does with its workers."""

    name: str
    title: str
    method: str
    every: int = 1  # it cheats on one job in so many, drawn at random, and works honestly on the others
    lent: bool = False  # its first stake is lent by the treasury
    returns: bool = False  # it leaves when its name is spoilt and comes back under a new one
    loans: int = 1  # how many stakes the treasury lends this person, one a name
    ring: bool = False  # shares the gain with the others and with a client that submits jobs for them alone

    @property
    def honest(self) -> bool:
        return METHODS[self.method].honest


STRATEGIES = {
    strategy.name: strategy
    for strategy in (
        Strategy("float32", "Honest in float32", "float32"),
        Strategy("honest_lent", "Honest on a lent stake", "honest", lent=True),
        Strategy("subsample", "Lazy: half of the rows", "subsample"),
        Strategy("early_stop", "Lazy: stops half-way", "early_stop"),
        Strategy("perturbed", "Lazy: 0.1 % off", "perturbed"),
        Strategy("stale", "Lazy: another job's answer", "stale"),
        Strategy("lying", "Lying", "lying"),
        Strategy("one_in_5", "Cheats one job in 5", "lying", every=5),
        Strategy("one_in_25", "Cheats one job in 25", "lying", every=25),
        Strategy("whitewashing", "Whitewashing", "lying", returns=True),
        Strategy("lent", "Lying on a lent stake", "lying", lent=True),
        Strategy("lent_again", "A new loan for each new name", "lying", lent=True, returns=True, loans=10**9),
        Strategy("colluding", "Colluding with a client", "lying", ring=True),
        Strategy("colluding_lent", "Colluding on a lent stake", "lying", ring=True, lent=True),
    )
}
BASELINE = Strategy("honest", "Honest", "honest")


@dataclass(frozen=True)
class Odds:
    """How many of `trials` answers came out each way when the real catalogue checked them."""

    right: int
    fooled: int
    rejected: int
    inconclusive: int

    @property
    def trials(self) -> int:
        return self.right + self.fooled + self.rejected + self.inconclusive

    def draw(self, error_chance: float, rng: random.Random) -> Outcome:
        """One outcome. A wrong answer is accepted with the measured chance or the stated one, whichever is larger."""
        wrong = self.trials - self.right
        if rng.random() * self.trials < self.right:
            return Outcome.RIGHT
        if rng.random() < max(error_chance, self.fooled / wrong):
            return Outcome.FOOLED
        seen = self.rejected + self.inconclusive
        rejected = not seen or rng.random() * seen < self.rejected
        return Outcome.REJECTED if rejected else Outcome.INCONCLUSIVE


@dataclass(frozen=True)
class ModelRates:
    """One model of the catalogue: its stated chance of error, the price of a check over that of a fit, the odds."""

    error_chance: float
    check_share: float  # of an answer that is accepted
    reject_share: float  # of one that is not: the exact tier, and the catalogue's own run
    odds: Mapping[str, Odds]


def read_rates(document: Mapping[str, Any]) -> dict[str, ModelRates]:
    """The rates in what `simulate --calibrate` wrote.

    Raises:
        ValueError: a method without trials.
    """
    found = {}
    for name, model in document["models"].items():
        odds = {method: Odds(**counts) for method, counts in model["odds"].items()}
        if missing := [method for method in METHODS if method not in odds or not odds[method].trials]:
            raise ValueError(f"The rates of {name} hold no trials of {', '.join(missing)}: calibrate again.")
        found[name] = ModelRates(model["error_chance"], model["check_share"], model["reject_share"], odds)
    return found


@dataclass
class Identity:
    """A name on the network: a contributor with one worker. Account ids belong to the market's books."""

    id: str
    owner: "Person"
    wallet: int
    stake: int
    unbonding: int
    reputation: float
    lent: int = 0  # micro-tokens still owed to the treasury
    verified: int = 0
    rejected: int = 0
    rank: float = 0.0
    virtual_finish: float = 0.0
    active: bool = True
    left: bool = False
    computing: str = ""  # the job in its hands
    unsettled: int = 0  # answers that are being checked


@dataclass
class Person:
    """Who is behind one name after another. Amounts in micro-tokens, durations in seconds."""

    id: str
    strategy: Strategy
    brought: int = 0  # came in from outside, for stakes
    energy: float = 0.0  # tokens
    answers: int = 0
    wrong: int = 0  # of the answers: not within the tolerance
    paid_wrong: int = 0  # of the wrong ones: accepted
    rejections: int = 0
    cheats: int = 0  # of the answers: come by otherwise than by honest work
    from_cheats: int = 0  # what those brought in, less what they cost of one's own stake
    names: list[Identity] = field(default_factory=list)
