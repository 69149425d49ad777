"""Living the log again: every transfer moves balances, every event a job, and nothing may happen that must not."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from .encoding import Bad

# code → the kinds of accounts that it may join.
JOINS = {
    "mint": {("issuance", "treasury"), ("issuance", "wallet")},
    "grant": {("treasury", "wallet")},
    "lend": {("treasury", "stake"), ("wallet", "treasury")},
    "hold": {("wallet", "escrow")},
    "capture": {("escrow", "wallet")},
    "fee": {("escrow", "treasury")},
    "void": {("escrow", "wallet")},
    "stake": {("wallet", "stake")},
    "unbond": {("stake", "unbonding"), ("unbonding", "wallet"), ("unbonding", "treasury")},
    "slash": {("stake", "treasury"), ("stake", "wallet"), ("unbonding", "treasury"), ("unbonding", "wallet")},
    "overturn": {("treasury", "stake"), ("treasury", "wallet")},
    "transfer": {("wallet", "wallet"), ("treasury", "wallet"), ("wallet", "treasury")},
}
ONCE_A_JOB = {"hold", "capture", "fee", "void"}
FOLLOWS = {
    "pending": {"assigned", "failed", "cancelled"},
    "assigned": {"computing", "pending", "failed", "cancelled"},
    "computing": {"completed", "pending", "failed", "cancelled"},
    "completed": {"verified", "pending", "failed"},
}
ENDED = {"verified", "failed", "cancelled"}


@dataclass
class Account:
    kind: str
    balance: int = 0  # micro-tokens


@dataclass
class Job:
    """A job's life so far. Amounts are micro-tokens."""

    state: str = ""
    escrow: int | None = None
    moved: dict[str, int] = field(default_factory=dict)  # what each code that comes once a job moved
    accepted: bool = False
    leaves: list[int] = field(default_factory=list)


class Replay:
    """The state of the network after the leaves that were played."""

    def __init__(self) -> None:
        self.accounts: dict[int, Account] = {}
        self.jobs: dict[str, Job] = defaultdict(Job)
        self.keys: set[str] = set()
        self.judged: set[str] = set()
        self.seen: set[tuple[str, int]] = set()
        self.transfers = 0

    def play(self, number: int, leaf: dict[str, Any]) -> None:
        """One leaf more.

        Raises:
            Bad: it says what must not happen, or is not of the format.
        """
        try:
            kind, row = leaf["kind"], (leaf["kind"], leaf["id"])
            if row in self.seen:
                raise Bad(f"{kind} {leaf['id']} is sealed a second time.")
            self.seen.add(row)
            job = self.jobs[leaf["job"]] if leaf["job"] is not None else None
            if job:
                job.leaves.append(number)
            if kind == "transfer":
                self._transfer(leaf, job)
            elif kind == "event":
                self._event(leaf, job)
            elif kind == "verdict" and job:
                self._verdict(leaf, job)
            else:
                raise Bad(f"There is no leaf of the kind {kind!r:.40}.")
        except (KeyError, TypeError, AttributeError):
            raise Bad("It is not of the format.") from None

    def _transfer(self, leaf: dict[str, Any], job: Job | None) -> None:
        source, destination = self._account(leaf["from"]), self._account(leaf["to"])
        code, amount = leaf["code"], leaf["amount"]
        if type(amount) is not int or amount <= 0 or source is destination:
            raise Bad("A transfer moves a positive amount from one account to another.")
        if (source.kind, destination.kind) not in JOINS[code]:
            raise Bad(f"A {code} does not go from {source.kind} to {destination.kind}.")
        if leaf["key"] in self.keys:
            raise Bad(f"The key {leaf['key']} was used before.")
        self.keys.add(leaf["key"])
        if code in ONCE_A_JOB:
            if job is None:
                raise Bad(f"A {code} is about a job.")
            self._of_a_job(leaf, job)
        if source.kind != "issuance" and source.balance < amount:
            raise Bad(f"Account {leaf['from']['account']} has {source.balance} micro-tokens and pays {amount}.")
        source.balance -= amount
        destination.balance += amount
        self.transfers += 1

    def _account(self, stated: dict[str, Any]) -> Account:
        if type(stated["account"]) is not int:
            raise TypeError
        found = self.accounts.setdefault(stated["account"], Account(stated["kind"]))
        if found.kind != stated["kind"]:
            raise Bad(f"Account {stated['account']} was a {found.kind} before.")
        return found

    def _of_a_job(self, leaf: dict[str, Any], job: Job) -> None:
        code, amount = leaf["code"], leaf["amount"]
        if code in job.moved:
            raise Bad(f"Job {leaf['job']} has a second {code}.")
        if code == "hold":
            job.escrow = leaf["to"]["account"]
        elif leaf["from"]["account"] != job.escrow:
            raise Bad(f"The {code} does not come out of the job's own escrow.")
        if code == "capture" and not (job.accepted and job.state == "completed"):
            called_off = job.state == "computing" and amount < job.moved["hold"]  # a share, for what was computed
            if not called_off:
                raise Bad(f"Job {leaf['job']} is paid and no verdict accepted its answer.")
        job.moved[code] = amount

    def _event(self, leaf: dict[str, Any], job: Job | None) -> None:
        if job is None or not leaf["event"].startswith("job."):
            return
        before, after = leaf["before"], leaf["after"]
        if before != job.state:
            raise Bad(f"Job {leaf['job']} was {job.state or 'not there'}, not {before or 'new'}.")
        if after not in (FOLLOWS.get(before, set()) if before else {"pending"}):
            raise Bad(f"A job that is {before or 'new'} does not become {after}.")
        job.state = after
        if after in ENDED:
            self._ended(leaf["job"], job)
        elif after == "pending" and not leaf["before"] and "hold" not in job.moved:
            raise Bad(f"Job {leaf['job']} was submitted and its reward is not held.")

    def _ended(self, name: str, job: Job) -> None:
        if job.escrow is None or self.accounts[job.escrow].balance:
            raise Bad(f"Job {name} ended and its escrow is not empty.")
        if job.state == "verified" and not (job.accepted and job.moved.get("capture") == job.moved["hold"]):
            raise Bad(f"Job {name} was verified and not paid in full for an accepted answer.")
        if job.state == "failed" and "capture" in job.moved:
            raise Bad(f"Job {name} failed and was paid.")

    def _verdict(self, leaf: dict[str, Any], job: Job) -> None:
        if leaf["assignment"] in self.judged:
            raise Bad(f"Assignment {leaf['assignment']} has a second verdict.")
        self.judged.add(leaf["assignment"])
        if job.state != "completed":
            raise Bad(f"Job {leaf['job']} is {job.state or 'not there'} and has an answer judged.")
        job.accepted = job.accepted or leaf["outcome"] == "accepted"
