"""A whole network in one process, in virtual time, under faults that a seed draws.

The actions, the database and the checks are the real ones. Redis, the clock, processes and people are simulated. An
*event* is one thing taken off the queue of what is due: a message that arrives, a tick of a beat, a heartbeat, a pulse
of the web process, an answer, a request, a fault. What is lost on its way is none.
"""

import hashlib
import heapq
import random
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.test import override_settings

from marketplace import dispatch
from marketplace.actions import checking, coordination, incidents, payouts, pulse, settlement, stakes
from marketplace.models import Account, Contributor, HeldVerdict, Job, Transfer
from tests import factories as make
from tests.faults.machines import Machine
from tests.faults.people import CLIENTS, People
from tests.faults.virtual import Died, drawn_randomness, virtual_time, without_redis
from tests.faults.watch import Watch
from workers.protocol import TASK_NAME

PULSE_SECONDS = 2.0
CYCLE_SECONDS = 5.0
MACHINES = 8


class Simulator:
    def __init__(self, seed: int, *, seconds_between_jobs: float = 6.0) -> None:
        self.seed, self.rng = seed, random.Random(seed)
        self.seconds_between_jobs = seconds_between_jobs
        self.counts: Counter[str] = Counter()
        self.events = 0
        self.faults = True
        self._queue: list[tuple[datetime, int, str, Callable[[], object]]] = []
        self._order = count()
        self._kinds: list[int] = []
        self._stack = ExitStack()

    def __enter__(self) -> "Simulator":
        enter = self._stack.enter_context
        self.clock = enter(virtual_time())
        enter(drawn_randomness(self.rng))
        enter(without_redis(self._send, self._maybe_die))
        # Measuring GPUs has tests of its own, and half of a heartbeat's statements.
        enter(override_settings(POLICY=replace(settings.POLICY, challenge_every_seconds=0)))
        patch = enter(pytest.MonkeyPatch.context())
        patch.setattr("os.fsync", lambda file: None)  # no power is cut here
        check = settlement.check_answer
        patch.setattr(settlement, "check_answer", lambda *args: self._check(check, *args))
        self.web_away_until = self.coordinator_away_until = self.clock.now
        self._furnish()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._stack.close()

    def _furnish(self) -> None:
        self.faults = False
        for name in CLIENTS:
            make.make_client(name, 20_000)
        job = make.make_job(CLIENTS[0], data=make.rows(24, 3))
        self.dataset = job.dataset_id
        self.right, self.wrong = make.right_answer(job), make.wrong_answer(job)
        self.watch, self.machines = Watch(), []
        for i in range(MACHINES):
            worker = make.make_worker(f"m{i}", stake=2000)
            self.machines.append(Machine(self, worker, lies=i in (0, 1)))
        self.people = People(self)
        self.people.submitted["the first"] = job.pk
        for _ in range(2):
            self.later(self.rng.uniform(0, CYCLE_SECONDS), "cycle", self._cycle)
        self.later(PULSE_SECONDS, "pulse", self._pulse)
        self.later(30, "fault", self._fault)
        self.faults = True

    # time

    @staticmethod
    def seconds(number: float) -> timedelta:
        return timedelta(seconds=number)

    def at(self, when: datetime, kind: str, what: Callable[[], object]) -> None:
        heapq.heappush(self._queue, (max(when, self.clock.now), next(self._order), kind, what))

    def later(self, seconds: float, kind: str, what: Callable[[], object]) -> None:
        self.at(self.clock.now + timedelta(seconds=seconds), kind, what)

    def count(self, what: str) -> None:
        self.counts[what] += 1

    def run(self, events: int) -> None:
        """So many events, each followed by a look at what it did.

        Raises:
            AssertionError: an invariant is broken; it names seed and event.
        """
        for _ in range(events):
            self.step()

    def step(self) -> None:
        self.clock.now, _, kind, what = heapq.heappop(self._queue)
        self.events += 1
        self.counts[kind] += 1
        try:
            try:
                what()
            except Died:
                self.count("process killed")
            self.watch.look()
        except BaseException as error:
            error.add_note(f"Seed {self.seed}, event {self.events} ({kind} at {self.clock.now}).")
            raise

    def check_everything(self) -> None:
        try:
            self.watch.everything()
        except AssertionError as error:
            error.add_note(f"Seed {self.seed}, after event {self.events}.")
            raise

    # processes and what carries between them

    def web_is_away(self) -> bool:
        return self.web_away_until > self.clock.now

    def _pulse(self) -> None:
        self.at(max(self.web_away_until, self.clock.now + self.seconds(PULSE_SECONDS)), "pulse", self._pulse)
        if not self.web_is_away():
            pulse.note_web_alive()

    def _cycle(self) -> None:
        self.later(CYCLE_SECONDS, "cycle", self._cycle)
        skipped = self.faults and self.rng.random() < 0.25
        if skipped or self.coordinator_away_until > self.clock.now:
            return
        coordination.run_cycle()
        if self.faults and self.rng.random() < 0.1:
            coordination.run_cycle()

    def _send(self, name: str, args: list[str], queue: str) -> bool:
        """Hand a message to the broker, which loses one in twelve, doubles one in twenty, and delays all."""
        self._maybe_die()
        if name == dispatch.ASSIGN and any(kind == "wake" for *_, kind, _ in self._queue):
            return True  # one that is under way says the same
        if self.faults and self.rng.random() < 1 / 12:
            self.count("lost message")
            return True
        twice = self.faults and self.rng.random() < 1 / 20
        for _ in range(1 + twice):
            delay = self.rng.expovariate(1 / 8) if self.rng.random() < 0.1 else self.rng.uniform(0.01, 0.2)
            kind = "wake" if name == dispatch.ASSIGN else "message"
            self.later(delay, kind, lambda: self._deliver(name, args, queue))
        return True

    def _deliver(self, name: str, args: list[str], queue: str) -> None:
        if name == TASK_NAME:
            next(machine for machine in self.machines if machine.queue == queue).take(args[0])
        elif self.coordinator_away_until > self.clock.now:
            self.at(self.coordinator_away_until, "message", lambda: self._deliver(name, args, queue))
        elif name == dispatch.ASSIGN:
            coordination.assign_if_active()
        elif name == dispatch.VERIFY:
            settlement.verify(assignment_id=UUID(args[0]))
        elif name == dispatch.VERIFY_WAITING:
            checking.verify_waiting()

    def _maybe_die(self) -> None:
        """Killed in a transaction, or between its commit and what follows."""
        if self.faults and self.rng.random() < 0.006:
            raise Died

    def _check(self, check: Callable[..., Any], *args: Any) -> Any:
        fate = self.rng.random() if self.faults else 1.0
        if fate < 0.03:
            raise MemoryError
        if fate < 0.05:
            raise Died
        return check(*args)

    def _fault(self) -> None:
        self.later(self.rng.expovariate(1 / 40), "fault", self._fault)
        now, rng = self.clock.now, self.rng
        self._kinds = self._kinds or rng.sample(range(5), 5)  # each comes once in five
        match self._kinds.pop():
            case 0:
                self.web_away_until = now + self.seconds(rng.uniform(1, 90))
            case 1:
                self.coordinator_away_until = now + self.seconds(rng.uniform(1, 60))
            case 2:  # Redis loses its memory
                self._queue = [each for each in self._queue if each[2] not in ("message", "wake")]
                heapq.heapify(self._queue)
            case 3:
                rng.choice(self.machines).freeze(rng.uniform(1, 90))
            case 4:
                rng.choice(self.machines).die(rng.uniform(1, 90))

    # the end

    def reinstate(self, contributor: Contributor) -> None:
        incidents.reinstate_contributor(contributor=contributor, actor="olga")

    def come_to_rest(self, most: int = 5_000) -> None:
        """No more faults and requests; what is open ends by itself, at the latest by its deadline."""
        self.faults = False
        self._queue = [each for each in self._queue if each[2] not in ("client", "person", "fault")]
        heapq.heapify(self._queue)
        payouts.thaw(actor="olga")
        incidents.drain_all(draining=False, actor="olga")
        for contributor in Contributor.objects.exclude(suspended_at=None):
            self.reinstate(contributor)
        for _ in range(most):
            asked = any(kind == "request again" for *_, kind, _ in self._queue)  # what may submit one job more
            if not asked and not Job.objects.filter(ended_at=None).exists():
                break
            self.step()
        else:
            self.clock.pass_(8 * 24 * 3600)  # past every deadline: nobody was left who could, or would
            self._queue = [(max(when, self.clock.now), *rest) for when, *rest in self._queue]
            heapq.heapify(self._queue)
            for _ in range(most):
                self.step()
        self._require_rest()

    def _require_rest(self) -> None:
        stuck = list(Job.objects.filter(ended_at=None).values_list("pk", "state"))
        assert not stuck, f"Seed {self.seed}: jobs that never end: {stuck}"
        self.run(200)  # what is still under way changes nothing
        coordination.run_cycle()
        stakes.release_due()
        assert not HeldVerdict.objects.filter(settled_at=None).exists()
        assert not Account.objects.filter(kind="escrow").exclude(balance=0).exists()
        made = set(self.people.submitted.values())
        assert set(Job.objects.values_list("pk", flat=True)) == made, "a request was lost, or had two effects"
        moved = Transfer.objects.filter(pk__in=self.people.moved.values()).count()
        assert moved == len(self.people.moved)
        self.check_everything()

    def digest(self) -> str:
        """Of every transfer and job: the same for the same seed."""
        rows = [*Transfer.objects.order_by("pk").values_list("source", "destination", "amount", "idempotency_key")]
        rows += Job.objects.order_by("pk").values_list("pk", "state", "attempt", "ended_at")
        return hashlib.sha256(repr((rows, sorted(self.counts.items()))).encode()).hexdigest()
