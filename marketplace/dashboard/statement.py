"""Transfers as pages and files show them: newest first, and by id, so that no page costs more than the first."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import Sum

from marketplace.csv_files import CsvResponse
from marketplace.domain.money import to_tokens
from marketplace.models import Account, Transfer

SHOWN = 30
FILE_ROWS = 20_000  # the most of a file; an older one begins before its last id

COLUMNS = ("id", "at", "why", "from", "to", "tokens")
WORDS = {
    "mint": "minted",
    "grant": "grant",
    "lend": "loan",
    "hold": "held for a job",
    "capture": "paid for a job",
    "fee": "fee",
    "void": "held, back from a job",
    "stake": "put at stake",
    "unbond": "stake on its way out",
    "slash": "slash",
    "overturn": "slash taken back",
    "transfer": "transfer",
}


@dataclass(frozen=True)
class Line:
    """One transfer; `signed` is what it did to the wallet whose statement this is, in micro-tokens."""

    id: int
    at: datetime
    code: str
    words: str
    source: Account
    destination: Account
    amount: int
    signed: int
    job: Any
    balance: int | None = None  # of that wallet after it

    @property
    def other(self) -> Account:
        return self.destination if self.signed < 0 else self.source


@dataclass(frozen=True)
class Sheet:
    lines: list[Line]
    older: int | None  # the id that the next page begins before


def transfers(accounts: list[int] | None, before: int | None, limit: int, **filters: Any) -> list[Transfer]:
    """The newest `limit` with an id below `before`, of `accounts` (None: of all).

    One query a side, each an index's newest rows: together they hold the newest of both.
    """
    found = Transfer.objects.select_related("source", "destination").filter(**filters).order_by("-id")
    if before is not None:
        found = found.filter(id__lt=before)
    if accounts is None:
        return list(found[:limit])
    sides: dict[int, Transfer] = {}
    for side in ("source_id", "destination_id"):
        for pk in accounts:
            sides |= {row.pk: row for row in found.filter(**{side: pk})[:limit]}
    return sorted(sides.values(), key=lambda row: -row.pk)[:limit]


def sheet(accounts: list[int] | None, before: int | None = None, **filters: Any) -> Sheet:
    rows = transfers(accounts, before, SHOWN + 1, **filters)
    own = set(accounts or ())
    return Sheet([_line(row, own) for row in rows[:SHOWN]], rows[SHOWN - 1].pk if len(rows) > SHOWN else None)


def of_wallet(wallet: Account, before: int | None = None) -> Sheet:
    """The wallet's own statement, with what was in it after each transfer."""
    rows = _with_balances(wallet, before, SHOWN + 1)
    return Sheet(rows[:SHOWN], rows[SHOWN - 1].id if len(rows) > SHOWN else None)


def _with_balances(wallet: Account, before: int | None, limit: int) -> list[Line]:
    """The newest `limit` lines with an id below `before`: the balance now, less what came after each.

    Transfers of one account are one after the other, so that those up to its last one are all that made its balance.
    What is newer than `before` is one sum.
    """
    balance, last = Account.objects.values_list("balance", "last_transfer").get(pk=wallet.pk)
    before = last + 1 if before is None else min(before, last + 1)
    if before <= last:
        later = Transfer.objects.filter(pk__gte=before, pk__lte=last)
        came, went = (
            later.filter(**{side: wallet}).aggregate(sum=Sum("amount"))["sum"] or 0
            for side in ("destination", "source")
        )
        balance += went - came
    lines = []
    for row in transfers([wallet.pk], before, limit):
        line = _line(row, {wallet.pk})
        lines.append(replace(line, balance=balance))
        balance -= line.signed
    return lines


def _line(row: Transfer, own: set[int]) -> Line:
    signed = (row.destination_id in own) - (row.source_id in own)
    return Line(
        id=row.pk,
        at=row.created_at,
        code=row.code,
        words=WORDS[row.code],
        source=row.source,
        destination=row.destination,
        amount=row.amount,
        signed=signed * row.amount,
        job=row.job_id,
    )


def file(name: str, accounts: list[int] | None, before: int | None, **filters: Any) -> CsvResponse:
    """The same as a download."""
    own = set(accounts or ())
    lines = [_line(row, own) for row in transfers(accounts, before, FILE_ROWS, **filters)]
    effects = [] if accounts is None else ["effect"]
    return CsvResponse(name, [*COLUMNS, *effects, "job"], [_cells(line, effects) for line in lines])


def wallet_file(wallet: Account, before: int | None) -> CsvResponse:
    """The wallet's own statement as a download."""
    effects = ["effect", "balance"]
    rows = [_cells(line, effects) for line in _with_balances(wallet, before, FILE_ROWS)]
    return CsvResponse(f"{wallet.name} statement.csv", [*COLUMNS, *effects, "job"], rows)


def _cells(line: Line, effects: Sequence[str]) -> list[Any]:
    shown = {"effect": line.signed, "balance": line.balance or 0}
    cells = [line.id, line.at, line.code, str(line.source), str(line.destination), to_tokens(line.amount)]
    return [*cells, *(to_tokens(shown[each]) for each in effects), str(line.job) if line.job else ""]


def number_of(text: str | None) -> int | None:
    """The id in an address; None for what is none."""
    return int(text) if text and text.isdecimal() and len(text) < 19 else None
