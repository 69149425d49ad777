"""A job's life against a model of a few dataclasses: any order of messages, late ones and dead ones among them.

`COMPUTENET_MACHINE_RUNS=2000 COMPUTENET_MACHINE_STEPS=50` for more.
"""

from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest
from django.conf import settings
from django.db import transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from marketplace.actions import assignments, coordination, expiry, jobs, settlement
from marketplace.domain.errors import Refused
from marketplace.models import Account, Assignment, Job
from tests import factories as make
from tests.faults.machine_settings import machine_settings
from tests.faults.virtual import virtual_time, without_redis

MICRO, REWARD, STAKE, BALANCE = 1_000_000, 20, 500, 1_000
WORKERS = ("a", "b")
SHORT_SECONDS, LONG_SECONDS = 40, 7 * 24 * 3600
pick = st.integers(0, 99)


@dataclass
class Attempt:
    row: Assignment
    state: str  # an assignment's
    due: float  # of its lease, in seconds since the beginning
    right: bool = True
    tries: int = 0


@dataclass
class Life:
    row: Job
    deadline: float
    state: str = "pending"
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        return self.state in ("verified", "failed", "cancelled")


class Jobs(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.clock = self.stack.enter_context(virtual_time())
        self.stack.enter_context(without_redis(lambda *args: True, lambda: None))
        self.began = self.clock.now
        self.atomic = transaction.atomic()
        self.atomic.__enter__()
        make.make_client(balance=BALANCE)
        self.workers = {name: make.make_worker(name, stake=STAKE) for name in WORKERS}
        self.lives: list[Life] = []
        self.client, self.wallets = BALANCE * MICRO, dict.fromkeys(WORKERS, 100 * MICRO)
        self.stakes = dict.fromkeys(WORKERS, STAKE * MICRO)

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.atomic.__exit__(None, None, None)
        self.stack.close()

    @property
    def now(self) -> float:
        return (self.clock.now - self.began).total_seconds()

    def allowed(self, may: bool, action) -> bool:
        """The action is done exactly where the model says that it may be."""
        try:
            with transaction.atomic():
                action()
        except Refused as refusal:
            assert not may, f"refused: {refusal}"
            return False
        assert may, "it was done, and should have been refused"
        return True

    def chosen(self, number: int) -> tuple[Life, Attempt] | None:
        """Any attempt that there ever was, dead ones too."""
        every = [(life, attempt) for life in self.lives for attempt in life.attempts]
        return every[number % len(every)] if every else None

    def is_live(self, life: Life, attempt: Attempt, *states: str) -> bool:
        return attempt.state in states and self.now <= min(attempt.due, life.deadline)

    def back(self, life: Life, *, job_fault: bool = False) -> None:
        """After an attempt without a right answer."""
        most = settings.POLICY.max_attempts
        if job_fault or self.now >= life.deadline or len(life.attempts) >= most:
            self.end(life, "failed")
        else:
            life.state = "pending"

    def end(self, life: Life, state: str, paid: int = 0) -> None:
        life.state = state
        self.client += REWARD * MICRO - paid
        if paid:
            self.wallets[life.attempts[-1].row.worker.name] += paid

    @precondition(lambda self: len(self.lives) < 4)
    @rule(short=st.booleans())
    def submit(self, short):
        seconds = SHORT_SECONDS if short else LONG_SECONDS
        source = {"dataset": self.lives[0].row.dataset_id} if self.lives else {"data": make.rows(24, 3)}
        job = make.make_job(reward=REWARD, deadline_seconds=seconds, **source)
        self.client -= REWARD * MICRO
        self.lives.append(Life(job, self.now + seconds))

    @rule()
    def assign(self):
        for worker in self.workers.values():
            make.beat(worker)
        coordination.assign_pending()
        for life in self.lives:
            known = {attempt.row.pk for attempt in life.attempts}
            for row in Assignment.objects.filter(job=life.row).exclude(pk__in=known).select_related("worker__host"):
                self.assigned(life, row)

    def assigned(self, life: Life, row: Assignment) -> None:
        name = row.worker.name
        assert life.state == "pending" and self.now < life.deadline
        assert row.fence == len(life.attempts) + 1
        assert all(a.row.worker.name != name or a.state != "rejected" for a in life.attempts), "it got it wrong before"
        open_ = [a for each in self.lives for a in each.attempts if a.state in ("dispatched", "started")]
        assert all(a.row.worker.name != name for a in open_), "it has another"
        life.state = "assigned"
        life.attempts.append(Attempt(row, "dispatched", self.now + settings.POLICY.start_within_seconds))

    @rule(number=pick)
    def start(self, number):
        if found := self.chosen(number):
            life, attempt = found
            if self.allowed(self.is_live(life, attempt, "dispatched"), lambda: make.start(attempt.row)):
                attempt.state, life.state = "started", "computing"
                attempt.due = self.now + settings.POLICY.lease_seconds

    @rule(number=pick, stale=st.booleans())
    def progress(self, number, stale):
        if found := self.chosen(number):
            _, attempt = found
            named = Assignment(pk=attempt.row.pk, fence=attempt.row.fence - stale)
            dead = make.beat(self.workers[attempt.row.worker.name], named)["cancel"]
            live = attempt.state == "started" and self.now <= attempt.due and not stale
            assert (dead == []) == live
            if live:
                attempt.due = self.now + settings.POLICY.lease_seconds

    @rule(number=pick, right=st.booleans(), stale=st.integers(0, 4))
    def answer(self, number, right, stale):
        if found := self.chosen(number):
            life, attempt = found
            answer = make.right_answer(life.row) if right else make.wrong_answer(life.row)
            fence = attempt.row.fence + (stale == 0)
            known = attempt.state in ("submitted", "accepted", "rejected", "inconclusive")
            same = known and stale and attempt.right == right  # the same message again says the same
            may = bool(same or (stale and self.is_live(life, attempt, "started")))
            if self.allowed(may, lambda: make.submit_answer(attempt.row, answer, fence)) and not same:
                attempt.state, attempt.right, life.state = "submitted", right, "completed"

    @rule(number=pick, fault=st.sampled_from(["worker", "system"]), stale=st.integers(0, 4))
    def failure(self, number, fault, stale):
        if found := self.chosen(number):
            life, attempt = found
            call = {"machine": attempt.row.worker, "assignment_id": attempt.row.pk, "fault": fault, "error": "x"}
            fence = attempt.row.fence + (stale == 0)
            may = bool(stale) and self.is_live(life, attempt, "dispatched", "started")
            if self.allowed(may, lambda: assignments.fail(fence=fence, **call)):
                attempt.state = "failed"
                self.back(life)

    @rule(number=pick, breaks=st.integers(0, 2))
    def verify(self, number, breaks):
        found = self.chosen(number)
        if not found:
            return
        life, attempt = found
        waits = attempt.state == "submitted"
        with pytest.MonkeyPatch.context() as patch:
            if breaks == 0:
                patch.setattr(settlement, "check_answer", broken)
            said = make.verify(attempt.row)
        if not waits:
            assert said == ""
        elif breaks == 0:
            attempt.tries += 1
            if attempt.tries >= settings.POLICY.verification_tries:
                assert said == "gave up"
                attempt.state = "inconclusive"
                self.end(life, "failed")
            else:
                assert said == "released"
        elif attempt.right:
            assert said == "accepted"
            attempt.state = "accepted"
            self.end(life, "verified", REWARD * MICRO)
        else:
            assert said == "rejected"
            attempt.state = "rejected"
            self.slash(attempt.row.worker.name)
            self.back(life)

    def slash(self, name: str) -> None:
        total = min(self.stakes[name] // 10, REWARD * MICRO)
        self.stakes[name] -= total
        self.client += total // 2

    @rule(number=pick)
    def cancel(self, number):
        if self.lives:
            life = self.lives[number % len(self.lives)]
            may = life.state in ("pending", "assigned", "computing")
            computing = life.state == "computing"
            if self.allowed(may, lambda: jobs.cancel(job_id=life.row.pk, user=None, actor="alice")):
                if life.attempts and life.attempts[-1].state in ("dispatched", "started"):
                    life.attempts[-1].state = "cancelled"
                self.end(life, "cancelled", REWARD * MICRO // 10 if computing else 0)

    @rule()
    def begin(self):
        """Whoever was told begins: what most often comes next."""
        self.assign()
        for life in self.lives:
            if life.attempts and self.is_live(life, life.attempts[-1], "dispatched"):
                make.start(life.attempts[-1].row)
                life.attempts[-1].state, life.state = "started", "computing"
                life.attempts[-1].due = self.now + settings.POLICY.lease_seconds

    @rule(right=st.booleans(), seconds=st.sampled_from([0, 14, 16]), fails=st.booleans())
    def newest_answers(self, right, seconds, fails):
        """The newest attempts answer, or fail, in time or frozen past their leases, which nobody has noticed yet."""
        self.clock.pass_(seconds)
        for number, (_, attempt) in enumerate([(x, a) for x in self.lives for a in x.attempts]):
            if attempt.state == "started":
                if fails:
                    self.failure(number, "worker", 1)
                else:
                    self.answer(number, right, 1)

    @rule(seconds=st.sampled_from([1, 6, 11, 20]))
    def time(self, seconds):
        self.clock.pass_(seconds)

    @rule()
    def sweep(self):
        expiry.expire_leases()
        for life in self.lives:
            last = life.attempts[-1] if life.attempts else None
            if last and last.state in ("dispatched", "started") and last.due < self.now:
                last.state = "lost"
                self.back(life)
        expiry.expire_deadlines()
        for life in self.lives:
            if life.state in ("pending", "assigned", "computing") and life.deadline < self.now:
                if life.attempts and life.attempts[-1].state in ("dispatched", "started"):
                    life.attempts[-1].state = "cancelled"
                self.end(life, "failed")

    @invariant()
    def all_is_as_in_the_model(self):
        for life in self.lives:
            row = Job.objects.select_related("escrow").get(pk=life.row.pk)
            assert (row.state, row.attempt) == (life.state, len(life.attempts))
            assert row.escrow.balance == (0 if life.ended else REWARD * MICRO)
            found = list(row.assignments.order_by("fence").values_list("state", flat=True))
            assert found == [attempt.state for attempt in life.attempts]
        balances = {(a.kind, a.name): a.balance for a in Account.objects.filter(kind__in=["wallet", "stake"])}
        assert balances["wallet", "alice"] == self.client
        assert {name: balances["wallet", name] for name in WORKERS} == self.wallets
        assert {name: balances["stake", name] for name in WORKERS} == self.stakes


def broken(*args: object) -> None:
    raise MemoryError


@pytest.mark.django_db
def test_a_jobs_life_is_the_models():
    run_state_machine_as_test(Jobs, settings=machine_settings())
