"""The market: jobs arrive, the real rules match, judge, pay and slash, and a virtual clock goes on.

The order of steps is that of `marketplace.actions`: hold, match, submit, verdict, then capture or slash.
"""

import bisect
import heapq
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import replace

from marketplace.domain import escrow, matching, reputation
from marketplace.domain.ledger import AccountKind, Code
from marketplace.domain.lifecycle import Fault, JobState, after_lost_attempt, require_transition
from marketplace.domain.matching import Candidate, Demand, Waiting
from marketplace.domain.money import MICRO
from marketplace.domain.policy import Policy
from marketplace.domain.simulation.agents import HONEST, METHODS, Identity, Method, ModelRates, Outcome
from marketplace.domain.simulation.books import Books
from marketplace.domain.simulation.population import Population
from marketplace.domain.simulation.setup import Client, Setup, SimulatedJob, Totals

RING = "ring"  # the GPU that a ring's client asks for, so that the ring's own workers alone get its jobs
MEMORY_BYTES = 1 << 34


class Market:
    """Call `run` once; then read `population`, `totals`, `ended_at` and `jobs`."""

    def __init__(self, setup: Setup, policy: Policy, rates: Mapping[str, ModelRates], rng: random.Random) -> None:
        self.setup, self.policy, self.rates, self.rng = setup, policy, rates, rng
        self.population = Population(setup, policy)
        self.books = self.population.books
        self.jobs: list[SimulatedJob] = []
        self.totals = Totals()
        self.now = self.ended_at = 0.0
        self._pending: dict[bool, list[SimulatedJob]] = {False: [], True: []}  # by virtual start; True: a ring's
        self._virtual_time = self._worker_virtual_time = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._scheduled = 0
        self._expected = 0  # jobs that have not ended, whether submitted or to come

    def run(self) -> None:
        self._plan_arrivals()
        while self._events:
            self.now, _, act = heapq.heappop(self._events)
            act()
            self._assign()
        for job in [
            *self._pending[False],
            *self._pending[True],
        ]:  # nobody is left who may take it, so its client calls it off
            self._change(job, JobState.CANCELLED)
            self._close(job, escrow.on_cancelled(job.reward, computing=False, cancel_share=self.policy.cancel_share))

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, self._scheduled, act))
        self._scheduled += 1

    # Jobs come in

    def _plan_arrivals(self) -> None:
        """Poisson arrivals; a ring's client spreads its own over the same time."""
        setup, rng = self.setup, self.rng
        mean = setup.seconds_median * math.exp(setup.seconds_sigma**2 / 2)
        rate, clock = setup.load * setup.workers / mean, 0.0
        plain = [client for client in self.population.clients if not client.ring]
        for _ in range(setup.jobs):
            clock += rng.expovariate(rate)
            self._plan(clock, rng.choice(plain))
        for ring in (client for client in self.population.clients if client.ring):
            for _ in range(round(setup.jobs * setup.ring_share)):
                self._plan(rng.random() * clock, ring)

    def _plan(self, at: float, client: Client) -> None:
        low, high = self.setup.seconds_range
        drawn = self.rng.lognormvariate(math.log(self.setup.seconds_median), self.setup.seconds_sigma)
        seconds, model = min(max(drawn, low), high), self.rng.choice(sorted(self.rates))
        reward = round(self.policy.suggested_rate * seconds * self.rng.uniform(0.8, 1.2) * MICRO)
        self._expected += 1
        self._after(at, lambda: self._submit(client, model, seconds, reward))

    def _submit(self, client: Client, model: str, seconds: float, reward: int) -> None:
        start = matching.virtual_start(virtual_time=self._virtual_time, virtual_finish=client.virtual_finish)
        client.virtual_finish = start + max(seconds, matching.LEAST_SERVICE_SECONDS)
        id_ = f"job-{len(self.jobs)}"
        account = self.books.open(AccountKind.ESCROW, id_)
        demand = Demand(gpu_tag=RING if client.ring else "")
        job = SimulatedJob(id_, model, client, account, reward, Waiting(id_, demand, reward, seconds, start))
        self.jobs.append(job)
        self.books.move(client.wallet, account, reward, Code.HOLD)
        self._wait(job)

    # Work

    def _wait(self, job: SimulatedJob) -> None:
        bisect.insort(self._pending[job.client.ring], job, key=lambda other: other.waiting.virtual_start)

    def _assign(self) -> None:
        jobs = {job.id: job for of_class in self._pending.values() for job in of_class[: self.policy.batch]}
        free = [n for n in self.population.names if n.active and not n.computing] if jobs else []
        if not free:
            return
        picks, self._worker_virtual_time = matching.match(
            matching.service_order(job.waiting for job in jobs.values()),
            [self._candidate(name) for name in free],
            self.rng,
            virtual_time=self._worker_virtual_time,
            newcomer_share=self.policy.newcomer_share,
        )
        by_id = {name.id: name for name in free}
        for pick in picks:
            job, name = jobs[pick.job], by_id[pick.worker]
            self._pending[job.client.ring].remove(job)
            self._virtual_time = max(self._virtual_time, job.waiting.virtual_start)
            name.virtual_finish = pick.worker_virtual_finish
            self._start(job, name)

    def _candidate(self, name: Identity) -> Candidate:
        return Candidate(
            id=name.id,
            machine=name.id,
            gpu_tag=RING if name.owner.strategy.ring else "",
            memory_bytes=MEMORY_BYTES,
            compute_capacity=1.0,
            rank=name.rank,
            exposure_left=int(self.books.balance(name.stake) * self.policy.exposure_factor),
            free_slots=1,
            busy=False,
            online=True,
            virtual_finish=name.virtual_finish,
        )

    def _start(self, job: SimulatedJob, name: Identity) -> None:
        strategy = name.owner.strategy
        cheats = strategy.every == 1 or self.rng.random() * strategy.every < 1
        method = METHODS[strategy.method] if cheats else HONEST
        self._change(job, JobState.ASSIGNED)
        self._change(job, JobState.COMPUTING)
        job.attempt += 1
        name.computing = job.id
        self.totals.attempts += 1
        seconds = job.waiting.quoted_seconds * self.rng.lognormvariate(0.0, 0.1) * method.cost
        name.owner.energy += seconds * self.setup.energy_rate
        self.totals.computing += seconds
        self._after(seconds + self.policy.quote_overhead_seconds, lambda: self._answer(job, name, method))

    def _answer(self, job: SimulatedJob, name: Identity, method: Method) -> None:
        """The answer is in: its worker is free, and a verdict follows when it was checked."""
        rates = self.rates[job.model]
        outcome = rates.odds[method.name].draw(rates.error_chance, self.rng)
        accepted = outcome in (Outcome.RIGHT, Outcome.FOOLED)
        seconds = job.waiting.quoted_seconds * (rates.check_share if accepted else rates.reject_share)
        self.totals.checking += seconds
        self._change(job, JobState.COMPLETED)
        name.computing = ""
        name.unsettled += 1
        self._after(seconds, lambda: self._verdict(job, name, method, outcome))

    # Verdicts

    def _verdict(self, job: SimulatedJob, name: Identity, method: Method, outcome: Outcome) -> None:
        name.unsettled -= 1
        person, before = name.owner, self._at_stake(name, job)
        person.answers += 1
        person.wrong += outcome is not Outcome.RIGHT
        person.paid_wrong += outcome is Outcome.FOOLED
        if outcome in (Outcome.RIGHT, Outcome.FOOLED):
            self._pay(job, name)
        elif outcome is Outcome.REJECTED:
            person.rejections += 1
            self._slash(job, name)
        else:
            self._give_up(job, name, Fault.SYSTEM)
        if not method.honest:
            person.cheats += 1
            person.from_cheats += self._at_stake(name, job) - before
        if self.population.would_leave(name):
            self.population.leave(name)
            self._after(self.policy.unbonding_seconds, lambda: self.population.release(name))
            self._after(self.setup.return_after, lambda: self.population.join(person) if self._expected else None)

    def _at_stake(self, name: Identity, job: SimulatedJob) -> int:
        """What a verdict can move for a person: wallet and stake, and for a job of one's own ring its client's side."""
        mine = self.books.balance(name.wallet) + self.population.own_stake(name)
        if name.owner.strategy.ring and job.client.ring:
            mine += self.books.balance(job.client.wallet) + self.books.balance(job.escrow)
        return mine

    def _pay(self, job: SimulatedJob, name: Identity) -> None:
        policy = self.policy
        self._change(job, JobState.VERIFIED)
        self._close(job, escrow.on_verified(job.reward), name)
        repaid = escrow.repayment(earned=job.reward, lent=name.lent, share=policy.loan_repayment_share)
        self.books.move(name.wallet, Books.TREASURY, repaid, Code.LEND)
        name.lent -= repaid
        name.verified += 1
        self._score(name, reputation.after_verified(name.reputation, policy))

    def _slash(self, job: SimulatedJob, name: Identity) -> None:
        policy, books = self.policy, self.books
        cost = escrow.split_slash(
            stake=books.balance(name.stake),
            unbonding=books.balance(name.unbonding),
            lent=name.lent,
            reward=job.reward,
            share=policy.slash_share,
            to_client_share=policy.slash_to_client_share,
        )
        owed = cost.to_client
        for source, amount in ((name.stake, cost.from_stake), (name.unbonding, cost.from_unbonding)):
            to_client = min(amount, owed)
            books.move(source, job.client.wallet, to_client, Code.SLASH)
            books.move(source, Books.TREASURY, amount - to_client, Code.SLASH)
            owed -= to_client
        name.rejected += 1
        self._score(name, reputation.after_rejected(name.reputation, policy))
        self._give_up(job, name, Fault.WORKER)

    def _score(self, name: Identity, after: float) -> None:
        name.reputation = after
        name.rank = reputation.lower_bound(verified=name.verified, rejected=name.rejected, reputation=after)
        if not reputation.is_trusted(after, self.policy):
            name.active = False

    def _give_up(self, job: SimulatedJob, name: Identity, fault: Fault) -> None:
        after = after_lost_attempt(
            attempt=job.attempt, max_attempts=self.policy.max_attempts, past_deadline=False, fault=fault
        )
        self._change(job, after)
        if after is JobState.FAILED:
            self._close(job, escrow.on_failed(job.reward))
            return
        job.waiting = replace(job.waiting, barred=job.waiting.barred | {name.id})
        self._wait(job)

    def _change(self, job: SimulatedJob, after: JobState) -> None:
        require_transition(job.state.value, after)
        job.state = after

    def _close(self, job: SimulatedJob, split: escrow.Split, name: Identity | None = None) -> None:
        """Empty the escrow of a job that has ended."""
        if name is not None:
            self.books.move(job.escrow, name.wallet, split.captured, Code.CAPTURE)
        self.books.move(job.escrow, job.client.wallet, split.voided, Code.VOID)
        self._expected -= 1
        self.ended_at = self.now if job.state is not JobState.CANCELLED else self.ended_at
        self.totals.verified += job.state is JobState.VERIFIED
        self.totals.failed += job.state is JobState.FAILED
        self.totals.cancelled += job.state is JobState.CANCELLED
