"""Replaying the ledger from its first transfer, and holding every balance, job and guard against it."""

from collections import defaultdict
from dataclasses import dataclass, field

from django.db.models import Count, F, Q, Sum

from marketplace.actions import log_audit, record_audit
from marketplace.domain.ledger import ALLOWED, AccountKind, Code
from marketplace.domain.lifecycle import ENDED
from marketplace.domain.money import MICRO
from marketplace.models import Account, Job, Transfer, guards

CHUNK = 5_000


@dataclass
class Audit:
    """What a replay found."""

    transfers: int = 0
    accounts: int = 0
    issued: int = 0  # micro-tokens
    by_kind: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems

    @property
    def last_line(self) -> str:
        if self.ok:
            return (
                f"The books add up: {self.transfers:,} transfers over {self.accounts:,} accounts, "
                f"{self.issued / MICRO:,.6f} tokens issued and every one accounted for."
            )
        return f"The books do NOT add up: {len(self.problems)} problem(s)."


def audit() -> Audit:
    """Replay every transfer in order and compare.

    Checks each transfer by itself, each account's balance and last transfer, that nothing but issuance was ever below
    zero, that the sum of all balances is zero, that each job's escrow is its reward while open and empty when ended,
    that each verified job was paid once, that attempts, reputations and loans are what their rows make them, that the
    database's guards are in place, and that the sealed log says what the rows say.
    """
    found = Audit()
    accounts = {a.pk: a for a in Account.objects.all()}
    balances: dict[int, int] = defaultdict(int)
    last: dict[int, int] = defaultdict(int)
    for transfer in Transfer.objects.order_by("pk").iterator(CHUNK):
        found.transfers += 1
        _replay(transfer, accounts, balances, last, found.problems)
    by_kind: dict[str, int] = defaultdict(int)
    for account in accounts.values():
        by_kind[account.kind] += account.balance
        if account.balance != balances[account.pk]:
            found.problems.append(
                f"Account {account} holds {account.balance} micro-tokens; its transfers make {balances[account.pk]}."
            )
        if account.last_transfer != last[account.pk]:
            found.problems.append(f"Account {account} names another last transfer than its own.")
    if total := sum(account.balance for account in accounts.values()):
        found.problems.append(f"All balances together are {total} micro-tokens, which should be zero.")
    found.accounts, found.by_kind = len(accounts), dict(by_kind)
    found.issued = -by_kind[AccountKind.ISSUANCE.value]
    found.problems += _jobs() + record_audit.problems() + guards.differences() + log_audit.problems()
    return found


def _replay(
    transfer: Transfer,
    accounts: dict[int, Account],
    balances: dict[int, int],
    last: dict[int, int],
    problems: list[str],
) -> None:
    source, destination = accounts.get(transfer.source_id), accounts.get(transfer.destination_id)
    if source is None or destination is None:
        problems.append(f"Transfer {transfer.pk} names an account that is not there.")
        return
    joined = (AccountKind(source.kind), AccountKind(destination.kind))
    if transfer.amount <= 0 or joined not in ALLOWED[Code(transfer.code)]:
        problems.append(f"Transfer {transfer.pk} is not one that can be made.")
    balances[source.pk] -= transfer.amount
    balances[destination.pk] += transfer.amount
    last[source.pk] = last[destination.pk] = transfer.pk
    if balances[source.pk] < 0 and source.kind != AccountKind.ISSUANCE.value:
        problems.append(f"Transfer {transfer.pk} overdrew {source}.")


def _jobs() -> list[str]:
    ended = Q(state__in=[state.value for state in ENDED])
    problems = [
        f"Job {pk} has ended and its escrow holds {balance} micro-tokens."
        for pk, balance in Job.objects.filter(ended).exclude(escrow__balance=0).values_list("pk", "escrow__balance")
    ]
    problems += [
        f"Job {pk} is open and its escrow is not its reward."
        for pk in Job.objects.exclude(ended).exclude(escrow__balance=F("reward")).values_list("pk", flat=True)
    ]
    captures = Count("transfers", filter=Q(transfers__code=Code.CAPTURE.value))
    paid = Sum("transfers__amount", filter=Q(transfers__code=Code.CAPTURE.value))
    verified = Job.objects.filter(state="verified").annotate(captures=captures, paid=paid)
    problems += [
        f"Job {pk} was verified and not paid exactly once, in full."
        for pk in verified.exclude(captures=1, paid=F("reward")).values_list("pk", flat=True)
    ]
    return problems
