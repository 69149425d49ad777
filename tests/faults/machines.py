"""Simulated machines: they take word of assignments, compute, answer, go silent, wake up late and lie."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from marketplace.actions import assignments, heartbeats
from marketplace.domain.errors import Conflict, Gone, NotFound
from marketplace.models import Assignment, Worker
from tests import factories as make

if TYPE_CHECKING:
    from tests.faults.simulator import Simulator

BEAT_SECONDS = 2.0
REFUSALS = (Conflict, Gone, NotFound)


class Machine:
    """A GPU host. What it knows is what the network told it; its `hand` may be dead long since."""

    def __init__(self, sim: "Simulator", worker: Worker, *, lies: bool) -> None:
        self.sim, self.name, self.queue, self.lies = sim, worker.name, worker.queue, lies
        self.pk = worker.pk
        self.hand: dict[str, int] = {}  # assignment → fence
        self.spool: list[tuple[str, int, bool]] = []  # answers that are still to be delivered
        self.frozen_until = self.dead_until = sim.clock.now
        sim.later(sim.rng.uniform(0, BEAT_SECONDS), "heartbeat", self.beat)

    def row(self) -> Worker:
        return Worker.objects.get(pk=self.pk)

    @property
    def wakes_at(self) -> Any:
        return max(self.frozen_until, self.dead_until)

    def is_away(self) -> bool:
        return self.wakes_at > self.sim.clock.now

    def beat(self) -> None:
        if self.is_away():  # its own thread stands still as well
            self.sim.at(self.wakes_at, "heartbeat", self.beat)
            return
        self.sim.later(BEAT_SECONDS, "heartbeat", self.beat)
        if self.sim.web_is_away():
            return
        beats = [{"assignment": a, "fence": f, "progress": 0.5, "note": ""} for a, f in self.hand.items()]
        request = {"assignments": beats, "load": 0.5, "memory_free_bytes": None, "temperature_celsius": None}
        reply = heartbeats.heartbeat(machine=self.row(), request=request)
        for dead in reply["cancel"]:
            if self.sim.rng.random() < 0.8:  # else it goes on, and answers late
                self.hand.pop(dead, None)

    def take(self, assignment: str) -> None:
        """Word of an assignment, perhaps for the second time, perhaps late."""
        if self.is_away():
            self.sim.at(self.wakes_at, "message", lambda: self.take(assignment))
            return
        if self.sim.web_is_away():
            return  # the sweep will say it again
        try:
            specification = assignments.start(machine=self.row(), assignment_id=UUID(assignment))
        except REFUSALS:
            self.sim.count("refused start")
            return
        self.hand[assignment] = specification["fence"]
        rng = self.sim.rng
        self.sim.later(rng.expovariate(1 / 3), "computed", lambda: self.finish(assignment))
        if rng.random() < 0.08:  # often for little more than a lease, so that it wakes before anybody has noticed
            self.freeze(rng.choice([rng.uniform(1, 60), rng.uniform(15, 20)]))
        elif rng.random() < 0.02:
            self.die(rng.uniform(1, 120))

    def freeze(self, seconds: float) -> None:
        self.sim.count("frozen machine")
        self.frozen_until = self.sim.clock.now + self.sim.seconds(seconds)

    def die(self, seconds: float) -> None:
        """Killed: it forgets what it had in hand, and keeps its spool, which is on its disk."""
        self.sim.count("dead machine")
        self.dead_until = self.sim.clock.now + self.sim.seconds(seconds)
        self.hand.clear()

    def finish(self, assignment: str) -> None:
        if self.is_away():
            if self.frozen_until >= self.dead_until:
                self.sim.at(self.frozen_until, "computed", lambda: self.finish(assignment))
            return
        fence, rng = self.hand.get(assignment), self.sim.rng
        if fence is None:
            return
        if rng.random() < 0.05:
            del self.hand[assignment]
            self._fail(assignment, fence, rng.choice(["worker", "system", "job"]))
        else:
            right = not (self.lies and rng.random() < 0.7)
            self.spool.append((assignment, fence, right))
            self.deliver()

    def deliver(self) -> None:
        """Send what is in the spool; while the web side is away, try again later."""
        if not self.spool:
            return
        if self.is_away() or self.sim.web_is_away():
            self.sim.at(max(self.wakes_at, self.sim.clock.now + self.sim.seconds(2)), "spool", self.deliver)
            return
        assignment, fence, right = self.spool[0]
        self._submit(assignment, fence, right)
        self.spool.pop(0)
        self.hand.pop(assignment, None)
        if self.sim.rng.random() < 0.1:
            self.sim.later(self.sim.rng.uniform(0, 30), "answer again", lambda: self._submit(assignment, fence, right))
        self.deliver()

    def _submit(self, assignment: str, fence: int, right: bool) -> None:
        before = Assignment.objects.filter(pk=assignment).values_list("state", "lease_expires_at", "job__attempt").get()
        row = Assignment(pk=UUID(assignment), worker=self.row(), fence=fence)
        try:
            make.submit_answer(row, self.sim.right if right else self.sim.wrong)
        except REFUSALS:
            self.sim.count("refused answer")
            return
        except BaseException:
            self.sim.later(2, "spool", self.deliver)  # it had no reply, and sends it again
            raise
        state, lease_expires_at, attempt = before
        if state == "started":
            assert lease_expires_at >= self.sim.clock.now, "a late answer was taken"
            assert fence == attempt, "a dead attempt's answer was taken"
            self.sim.count("answer")

    def _fail(self, assignment: str, fence: int, fault: str) -> None:
        try:
            assignments.fail(
                machine=self.row(), assignment_id=UUID(assignment), fence=fence, fault=fault, error="It could not."
            )
        except REFUSALS:
            self.sim.count("refused failure")
