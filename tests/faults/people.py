"""Clients, contributors and an operator: they submit, cancel, move money and change their minds, all at random."""

from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

from marketplace.actions import contests, grants, incidents, jobs, minting, payouts, stakes, tokens
from marketplace.actions.once import once
from marketplace.domain.errors import Refused
from marketplace.models import Account, Contest, Contributor, Job, Verdict
from tests.faults.virtual import Died

if TYPE_CHECKING:
    from tests.faults.simulator import Simulator

CLIENTS = ("alice", "bob", "carol")


class People:
    """Every request that was acknowledged is kept, to be held against the books at the end."""

    def __init__(self, sim: "Simulator") -> None:
        self.sim = sim
        self.submitted: dict[str, object] = {}  # idempotency key → job
        self.moved: dict[str, int] = {}  # idempotency key → transfer
        self.requests = 0
        sim.later(1, "client", self.submit)
        sim.later(5, "person", self.do_something)

    def key(self) -> str:
        self.requests += 1
        return f"request {self.requests}"

    def submit(self) -> None:
        self.sim.later(self.sim.rng.expovariate(1 / self.sim.seconds_between_jobs), "client", self.submit)
        rng = self.sim.rng
        deadline = rng.uniform(2, 60) if rng.random() < 0.08 else None
        submission = jobs.Submission(
            client_address=rng.choice(CLIENTS),
            model_type="linear_regression",
            dataset=self.sim.dataset,
            reward=rng.randint(1, 40),
            deadline_seconds=deadline,
        )
        key = self.key()
        self._until_answered(lambda: self._submit(submission, key))

    def _submit(self, submission: jobs.Submission, key: str) -> None:
        def act() -> bytes:
            return str(jobs.submit(submission=submission, user=None).pk).encode()

        job = UUID(once(user=None, key=key, request=key.encode(), act=act)[0].decode())
        assert self.submitted.setdefault(key, job) == job, "one key made two jobs"
        if self.sim.rng.random() < 0.05:
            self.sim.later(self.sim.rng.expovariate(1 / 6), "client", lambda: self.cancel(job))

    def _until_answered(self, request: Callable[[], object]) -> None:
        """A client whose request had no reply sends it again, with the same key."""
        if self.sim.web_is_away():
            self.sim.later(3, "request again", lambda: self._until_answered(request))
            return
        try:
            request()
        except Refused:
            self.sim.count("refused request")
        except Died:
            self.sim.later(1, "request again", lambda: self._until_answered(request))
            raise

    def cancel(self, job: object) -> None:
        if Job.objects.filter(pk=job, ended_at=None).exists() and not self.sim.web_is_away():
            self._try(lambda: jobs.cancel(job_id=job, user=None, actor="alice"))  # type: ignore[arg-type]

    def _try(self, action: Callable[[], object]) -> None:
        try:
            action()
        except Refused:
            self.sim.count("refused request")

    def do_something(self) -> None:
        self.sim.later(self.sim.rng.expovariate(1 / 12), "person", self.do_something)
        if not self.sim.web_is_away():
            self._try(
                self.sim.rng.choice([self.transfer, self.allow, self.stake, self.incident, self.contest, self.give])
            )

    def _wallet(self, name: str) -> Account:
        return Account.objects.get(kind="wallet", name=name)

    def transfer(self) -> None:
        source, to = self.sim.rng.sample(CLIENTS, 2)
        amount, key = self.sim.rng.randint(1, 30), self.key()

        def act() -> bytes:
            return str(tokens.transfer(source=self._wallet(source), to=to, amount=amount).pk).encode()

        def move() -> None:
            made = int(once(user=None, key=key, request=key.encode(), act=act)[0])
            assert self.moved.setdefault(key, made) == made, "one key moved tokens twice"
            if self.sim.rng.random() < 0.3:
                self.sim.later(1, "request again", lambda: self._until_answered(move))

        self._until_answered(move)

    def allow(self) -> None:
        owner, spender = self.sim.rng.sample(CLIENTS, 2)
        tokens.approve(owner=self._wallet(owner), spender=spender, amount=self.sim.rng.randint(0, 20), actor=owner)
        tokens.transfer_from(owner=owner, spender=self._wallet(spender), to=spender, amount=self.sim.rng.randint(1, 20))

    def stake(self) -> None:
        name = self.sim.rng.choice(self.sim.machines).name
        if self.sim.rng.random() < 0.5:
            stakes.top_up(name=name, amount=self.sim.rng.randint(1, 30), user=None)
        else:
            stakes.unstake(name=name, amount=self.sim.rng.randint(1, 60), user=None)

    def incident(self) -> None:
        rng = self.sim.rng
        contributor = Contributor.objects.get(name=rng.choice(self.sim.machines).name)
        choice = rng.randrange(3)
        if choice == 0:
            payouts.freeze(actor="olga", reason="drawn")
            self.sim.later(rng.uniform(1, 30), "person", lambda: payouts.thaw(actor="olga"))
        elif choice == 1:
            incidents.suspend_contributor(contributor=contributor, actor="olga", reason="drawn")
            self.sim.later(rng.uniform(5, 60), "person", lambda: self.sim.reinstate(contributor))
        else:
            incidents.drain_all(draining=True, actor="olga")
            self.sim.later(rng.uniform(1, 20), "person", lambda: incidents.drain_all(draining=False, actor="olga"))

    def contest(self) -> None:
        rejected = Verdict.objects.filter(outcome="rejected", contest=None).order_by("-pk").first()
        if rejected:
            worker = rejected.assignment.worker.name
            contests.contest(worker_name=worker, assignment_id=rejected.assignment_id, note="No.", user=None)
        waiting = Contest.objects.filter(outcome="open").order_by("pk").first()
        if waiting:
            decide = contests.overturn if self.sim.rng.random() < 0.5 else contests.uphold
            decide(contest_id=waiting.pk, actor="olga")

    def give(self) -> None:
        minting.mint(amount=50, reason="drawn", actor="olga")
        grants.make_grant(to=self.sim.rng.choice(CLIENTS), amount=40, period="once", actor="olga")
