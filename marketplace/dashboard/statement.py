"""Transfers as pages and files show them: newest first, and by id, so that no page costs more than the first."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from marketplace.csv_files import CsvResponse
from marketplace.domain.money import to_tokens
from marketplace.models import Account, Transfer

SHOWN = 30
FILE_ROWS = 20_000  # the most of a file; an older one begins before its last id

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
    header = ["id", "at", "why", "from", "to", "tokens", "job"]
    if accounts is not None:
        header.insert(6, "effect")
    own = set(accounts or ())
    rows = []
    for row in transfers(accounts, before, FILE_ROWS, **filters):
        line = _line(row, own)
        cells: list[Any] = [line.id, line.at, line.code, str(line.source), str(line.destination), to_tokens(row.amount)]
        effect = [to_tokens(line.signed)] if accounts is not None else []
        rows.append([*cells, *effect, str(line.job) if line.job else ""])
    return CsvResponse(name, header, rows)


def number_of(text: str | None) -> int | None:
    """The id in an address; None for what is none."""
    return int(text) if text and text.isdecimal() and len(text) < 19 else None
