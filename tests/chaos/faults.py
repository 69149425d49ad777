"""The faults: what each does to which process, and when dispatch had resumed after it."""

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import redis
from django.db import connections
from django.db.models import Min

from marketplace.models import Assignment, Job
from tests.chaos.findings import Findings
from tests.chaos.network import LEASE_SECONDS, RESUME_SECONDS, Network, Program
from tests.chaos.scale import Scale

OPEN = ("dispatched", "started")
WEB_AWAY_SECONDS = 8.0
KILLS = {"worker": 14, "web": 2, "coordinator": 2, "verifier": 1, "beat": 1}  # shares of the SIGKILLs


@dataclass
class Struck:
    """One fault that struck. `in_hand` are the jobs that its worker had then; their own resumption is what counts."""

    kind: str
    at: datetime
    in_hand: list[str] = field(default_factory=list)


@dataclass
class Faults:
    network: Network
    findings: Findings
    rng: random.Random
    struck: list[Struck] = field(default_factory=list)
    later: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    back: list[datetime] = field(default_factory=list)  # when what was held was let start again

    def plan(self, scale: Scale) -> list[str]:
        """The kinds of all faults of a storm, in the seed's order."""
        names = [name for name, share in KILLS.items() for _ in range(share)]
        kinds = [f"SIGKILL of {name}" for name in KILLS][: scale.kills]
        kinds += [f"SIGKILL of {self.rng.choice(names)}" for _ in range(scale.kills - len(kinds))]
        kinds += ["Redis wiped (FLUSHALL)"] * scale.wipes
        rarer = ("Redis restarted empty", "PostgreSQL restarted (fast)", "PostgreSQL crashed (immediate)")
        rarer += ("prefork child killed", "worker frozen past its lease and thawed", "web away for 8 s")
        kinds += [kind for kind in rarer for _ in range(scale.rarer)]
        self.rng.shuffle(kinds)
        return kinds

    def strike(self, kind: str) -> None:
        """Do it, now. What takes time ends later, by `tick`."""
        struck = Struck(kind, datetime.now(UTC))
        self.struck.append(struck)
        self.findings[kind].count += 1
        programs = self.network.programs
        if kind == "SIGKILL of worker":
            self._worker(struck, [p for p in self.network.workers if not p.frozen]).kill()
        elif kind.startswith("SIGKILL of "):
            programs[kind.removeprefix("SIGKILL of ")].kill()
        elif kind == "Redis wiped (FLUSHALL)":
            self._wipe()
        elif kind == "Redis restarted empty":
            programs["redis"].kill()
            programs["redis"].start()
            self.network.redis.wait_until_up()
        elif kind.startswith("PostgreSQL"):
            self._restart_database(signal.SIGQUIT if "crashed" in kind else signal.SIGINT)
        elif kind == "prefork child killed":
            self._child(struck)
        elif kind.startswith("worker frozen"):
            self._freeze(struck)
        else:
            self._hold(programs["web"], WEB_AWAY_SECONDS)

    def tick(self) -> None:
        """End what is due: thaw, let start again."""
        now = time.monotonic()
        due = [end for at, end in self.later if at <= now]
        self.later = [(at, end) for at, end in self.later if at > now]
        for end in due:
            end()

    def _worker(self, struck: Struck, among: list[Program]) -> Program:
        """One of them, rather one with something in hand."""
        live = Assignment.objects.filter(state__in=OPEN, worker__name__in=[p.name for p in among])
        held: dict[str, list[str]] = {}
        for name, job in live.values_list("worker__name", "job"):
            held.setdefault(name, []).append(str(job))
        busy = [program for program in among if program.name in held]
        chosen = self.rng.choice(busy or among)
        struck.in_hand = held.get(chosen.name, [])
        return chosen

    def _wipe(self) -> None:
        with redis.Redis.from_url(self.network.wiper_url) as connection:
            connection.flushall()

    def _restart_database(self, how: signal.Signals) -> None:
        self.network.database.end(how)
        self.network.database.start()
        connections.close_all()

    def _child(self, struck: Struck) -> None:
        program = self._worker(struck, [p for p in self.network.workers if "--pool=prefork" in p.command])
        if program.process is None:
            return
        children = Path(f"/proc/{program.process.pid}/task/{program.process.pid}/children")
        for child in children.read_text().split() if children.exists() else []:
            os.kill(int(child), signal.SIGKILL)

    def _freeze(self, struck: Struck) -> None:
        program = self._worker(struck, [p for p in self.network.workers if not p.frozen])
        program.signal(signal.SIGSTOP)
        program.frozen = True

        def thaw() -> None:
            program.signal(signal.SIGCONT)
            program.frozen = False

        self.later.append((time.monotonic() + LEASE_SECONDS + 2, thaw))

    def _hold(self, program: Program, seconds: float) -> None:
        program.held = True
        program.kill()

        def let_start() -> None:
            program.held = False
            self.back.append(datetime.now(UTC))

        self.later.append((time.monotonic() + seconds, let_start))

    def judge(self) -> None:
        """When dispatch had resumed after each fault, in seconds, told by the database.

        It has when an assignment that was made after the fault is started; or, where the fault's worker had jobs in
        hand, when each of these was started anew, delivered or ended. Where another fault struck before that, or the
        web process came back from being away, the time is counted from the last of them.
        """
        for fault in self.struck:
            seconds = max([self._resumed(fault, job) for job in fault.in_hand] or [self._resumed(fault)])
            self.findings[fault.kind].resumes.append(seconds)
            if seconds > RESUME_SECONDS:
                self.findings.blame(fault.kind, [f"Dispatch resumed after {seconds:.1f} s."])

    def _resumed(self, fault: Struck, job: str = "") -> float:
        again = Assignment.objects.filter(created_at__gt=fault.at)
        times = []
        if job:
            again = again.filter(job=job)
            times.append(Assignment.objects.filter(job=job).aggregate(at=Min("result__received_at"))["at"])
            times.append(Job.objects.values_list("ended_at", flat=True).get(pk=job))
        times.append(again.aggregate(at=Min("started_at"))["at"])
        resumed_at = min([at for at in times if at is not None], default=datetime.now(UTC))
        others = [other.at for other in self.struck] + self.back
        since = max([at for at in others if fault.at <= at <= resumed_at], default=fault.at)
        return max(0.0, (resumed_at - since).total_seconds())
