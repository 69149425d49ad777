"""Moving tokens. The insertion of a transfer moves the balances; everything here prepares for it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, connection, transaction

from marketplace.domain.ledger import AccountKind, AccountView, Code, Move, overdrawn, settle
from marketplace.models import Account, Compiled, Job, Transfer, insert_all

# A statement is whole or not at all. The insertion's trigger locks both accounts, in the order of ids, as `post` does.
# Where what is read here does not allow the transfer, nothing is written.
MOVE = """
INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, idempotency_key, job_id)
SELECT s.id, d.id, %(amount)s, %(code)s, %(key)s, %(job)s FROM marketplace_account s, marketplace_account d
WHERE s.id = %(source)s AND d.kind = %(kind)s AND d.name = %(name)s AND d.id <> s.id
  AND (s.balance >= %(amount)s OR s.kind = 'issuance')
RETURNING id, destination_id"""


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
    return insert_all(Account(kind=kind.value, name=name) for name in names)


def issuance() -> Account:
    return Account.objects.get(kind=AccountKind.ISSUANCE.value)


def treasury() -> Account:
    return Account.objects.get(kind=AccountKind.TREASURY.value)


_locked = Compiled(
    lambda accounts: (
        Account.objects.select_for_update(no_key=True)
        .filter(pk__among=accounts)
        .order_by("pk")
        .values_list("pk", "kind", "name", "balance")
    ),
    [int],
)


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
    if len(postings) == 1 and (made := _post_one(postings[0])):
        return [made]
    wanted = {account.pk for posting in postings for account in (posting.source, posting.destination)}
    views = {pk: AccountView(AccountKind(kind), name, balance) for pk, kind, name, balance in _locked(wanted)}
    settle(views, [Move(p.source.pk, p.destination.pk, p.amount, p.code) for p in postings])
    return insert_all(
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


def _post_one(posting: Posting) -> Transfer | None:
    to = posting.destination
    made = move(posting.source, AccountKind(to.kind), to.name, posting.amount, posting.code, posting.key, posting.job)
    if made is not None:
        made.destination = to
    return made


def move(
    source: Account, kind: AccountKind, name: str, amount: int, code: Code, key: str, job: Job | None = None
) -> Transfer | None:
    """One transfer to the account of this kind and name, in one statement, which needs no transaction around it.

    None, and nothing is written, where there is no such account, or too little in `source`: `post` then says which.

    Raises:
        InsufficientFunds: somebody else took out of `source` meanwhile what this would have taken.
        IntegrityError: the key was used before.
    """
    given: dict[str, Any] = {
        "source": source.pk,
        "kind": kind.value,
        "name": name,
        "amount": amount,
        "code": code.value,
        "key": key,
        "job": Job._meta.pk.get_db_prep_value(job.pk, connection) if job else None,
    }
    try:
        with connection.cursor() as cursor:
            cursor.execute(MOVE, given)
            row = cursor.fetchone()
    except IntegrityError as refusal:
        if (held := _held(refusal)) is None:
            raise
        raise overdrawn(source.name, held, amount) from refusal
    if row is None:
        return None
    made = Transfer.from_db(
        connection.alias,
        ["id", "source_id", "destination_id", "amount", "code", "idempotency_key", "job_id"],
        [row[0], source.pk, row[1], amount, code.value, key, job and job.pk],
    )
    made.source, made.job = source, job
    return made


def _held(refusal: IntegrityError) -> int | None:
    """What the source held once it was locked, where PostgreSQL's trigger refused an overdraft for it."""
    said = getattr(refusal.__cause__, "diag", None)
    return int(said.message_detail) if said and said.message_primary == "an account is never overdrawn" else None
