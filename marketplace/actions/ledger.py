"""Moving tokens. The insertion of a transfer moves the balances; everything here prepares for it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import transaction

from marketplace.domain.ledger import AccountKind, AccountView, Code, Move, settle
from marketplace.models import Account, Job, Transfer


@dataclass(frozen=True)
class Posting:
    """One transfer to make. `key` is derived from what it is for, so that doing it twice is refused."""

    source: Account
    destination: Account
    amount: int  # micro-tokens
    code: Code
    key: str
    job: Job | None = None


def open_account(kind: AccountKind, name: str) -> Account:
    """A new, empty account.

    Raises:
        IntegrityError: there is one of this kind and name.
    """
    return Account.objects.create(kind=kind.value, name=name)


def open_accounts(kind: AccountKind, names: Iterable[str]) -> list[Account]:
    """New, empty accounts, in one statement.

    Raises:
        IntegrityError: there is one of this kind and name.
    """
    return Account.objects.bulk_create(Account(kind=kind.value, name=name) for name in names)


def issuance() -> Account:
    return Account.objects.get(kind=AccountKind.ISSUANCE.value)


def treasury() -> Account:
    return Account.objects.get(kind=AccountKind.TREASURY.value)


def post(postings: Sequence[Posting]) -> list[Transfer]:
    """Make all of `postings`, or none. Must be called in a transaction.

    Locks every account that is touched, in the order of their ids, before it reads a balance: that order is what keeps
    two of these from waiting for each other.

    Raises:
        InsufficientFunds: an account would go below zero.
        IntegrityError: a posting's key was used before.
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("post() must be called in a transaction")
    wanted = {account.pk for posting in postings for account in (posting.source, posting.destination)}
    locked = Account.objects.select_for_update(no_key=True).filter(pk__in=wanted).order_by("pk")
    views = {a.pk: AccountView(AccountKind(a.kind), a.name, a.balance) for a in locked}
    settle(views, [Move(p.source.pk, p.destination.pk, p.amount, p.code) for p in postings])
    return Transfer.objects.bulk_create(
        Transfer(
            source=posting.source,
            destination=posting.destination,
            amount=posting.amount,
            code=posting.code.value,
            idempotency_key=posting.key,
            job=posting.job,
        )
        for posting in postings
    )
