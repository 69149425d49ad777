"""Double entry: what may be posted, and what a list of postings does to balances."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from marketplace.domain.errors import InsufficientFunds
from marketplace.domain.money import MAX_MICRO, in_digits, in_words


class AccountKind(StrEnum):
    WALLET = "wallet"
    ESCROW = "escrow"
    STAKE = "stake"
    UNBONDING = "unbonding"
    TREASURY = "treasury"
    ISSUANCE = "issuance"


class Code(StrEnum):
    """Why a transfer was made."""

    MINT = "mint"  # issuance → treasury or wallet
    GRANT = "grant"  # treasury → wallet
    LEND = "lend"  # treasury → stake
    HOLD = "hold"  # wallet → escrow, once a job
    CAPTURE = "capture"  # escrow → wallet, once a job
    FEE = "fee"  # escrow → treasury, once a job
    VOID = "void"  # escrow → wallet, once a job
    STAKE = "stake"  # wallet → stake
    UNBOND = "unbond"  # stake → unbonding → wallet
    SLASH = "slash"  # stake or unbonding → treasury or wallet
    OVERTURN = "overturn"  # treasury → stake or wallet: a slash that an operator took back
    TRANSFER = "transfer"  # wallet → wallet


K, C = AccountKind, Code

# code → the (from, to) kinds that it may join. The database's triggers hold the same table.
ALLOWED: dict[Code, frozenset[tuple[AccountKind, AccountKind]]] = {
    C.MINT: frozenset({(K.ISSUANCE, K.TREASURY), (K.ISSUANCE, K.WALLET)}),
    C.GRANT: frozenset({(K.TREASURY, K.WALLET)}),
    C.LEND: frozenset({(K.TREASURY, K.STAKE), (K.WALLET, K.TREASURY)}),
    C.HOLD: frozenset({(K.WALLET, K.ESCROW)}),
    C.CAPTURE: frozenset({(K.ESCROW, K.WALLET)}),
    C.FEE: frozenset({(K.ESCROW, K.TREASURY)}),
    C.VOID: frozenset({(K.ESCROW, K.WALLET)}),
    C.STAKE: frozenset({(K.WALLET, K.STAKE)}),
    C.UNBOND: frozenset({(K.STAKE, K.UNBONDING), (K.UNBONDING, K.WALLET), (K.UNBONDING, K.TREASURY)}),
    C.SLASH: frozenset(
        {(K.STAKE, K.TREASURY), (K.STAKE, K.WALLET), (K.UNBONDING, K.TREASURY), (K.UNBONDING, K.WALLET)}
    ),
    C.OVERTURN: frozenset({(K.TREASURY, K.STAKE), (K.TREASURY, K.WALLET)}),
    C.TRANSFER: frozenset({(K.WALLET, K.WALLET), (K.TREASURY, K.WALLET), (K.WALLET, K.TREASURY)}),
}
ONCE_A_JOB = frozenset({C.HOLD, C.CAPTURE, C.FEE, C.VOID})


@dataclass(frozen=True)
class AccountView:
    """An account as `settle` needs it."""

    kind: AccountKind
    name: str
    balance: int  # micro-tokens


@dataclass(frozen=True)
class Move:
    """`amount` micro-tokens from one account to another, by their ids."""

    source: int
    destination: int
    amount: int
    code: Code


def settle(accounts: Mapping[int, AccountView], moves: Iterable[Move]) -> dict[int, int]:
    """Balances after `moves`, in order.

    Raises:
        ValueError: an amount that is not positive or too large, an account with itself, or a code that does not join
            these kinds: a mistake in our code, never a user's.
        InsufficientFunds: an account other than issuance would go below zero.
    """
    balances = {key: account.balance for key, account in accounts.items()}
    for move in moves:
        source, destination = accounts[move.source], accounts[move.destination]
        if not 0 < move.amount <= MAX_MICRO:
            raise ValueError(f"an amount of {move.amount} micro-tokens cannot be moved")
        if move.source == move.destination or (source.kind, destination.kind) not in ALLOWED[move.code]:
            raise ValueError(f"{move.code} does not go from {source.kind} to {destination.kind}")
        if source.kind is not K.ISSUANCE and balances[move.source] < move.amount:
            raise overdrawn(source.name, balances[move.source], move.amount)
        balances[move.source] -= move.amount
        balances[move.destination] += move.amount
    return balances


def overdrawn(name: str, held: int, amount: int) -> InsufficientFunds:
    """The refusal of `amount` micro-tokens out of an account that holds less."""
    return InsufficientFunds(
        f"{name} has {in_words(held)}, which is less than the {in_digits(amount)} that this takes."
    )
