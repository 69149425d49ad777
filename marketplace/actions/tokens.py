"""The token's verbs, as ERC-20 names them: transfer, approve, transfer from."""

import uuid
from contextlib import nullcontext
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q

from marketplace import notifications
from marketplace.actions.events import record
from marketplace.actions.grants import wallet_named
from marketplace.actions.keys import spend
from marketplace.actions.ledger import Posting, issuance, move, post
from marketplace.domain.errors import Forbidden, NotFound, Refused
from marketplace.domain.ledger import AccountKind, Code
from marketplace.domain.money import in_digits, in_words, to_micro
from marketplace.models import Account, Allowance, ApiKey, Transfer, database_now

NAME, SYMBOL, DECIMALS = "computenet token", "CNT", 6


def total_supply() -> int:
    """Micro-tokens issued and not taken back."""
    return -issuance().balance


def wallets_of(user: Any) -> Any:
    """The wallets of a user's clients and of the contributor that it is."""
    mine = Q(client__user=user) | Q(contributor__user=user)
    return Account.objects.filter(mine, kind=AccountKind.WALLET.value)


def own_wallet(*, name: str | None, user: Any, field: str) -> Account:
    """The wallet that a request acts for: the one it names, where it is the user's (anybody's in the sandbox).

    With no name, the only wallet that the user has.

    Raises:
        Refused: no name where one is needed.
        NotFound: no such wallet of this user's.
    """
    if settings.SANDBOX:
        if name is None:
            raise Refused(f"Name the wallet in {field}: in the sandbox nobody is logged in.")
        return wallet_named(name)
    mine = wallets_of(user)
    if name is not None:
        found = mine.filter(name=name).first()
        if found is None:
            raise NotFound(f"You have no wallet {name[:64]}.")
        return found
    first = list(mine.order_by("pk")[:2])
    if len(first) != 1:
        raise Refused(
            f"You have several wallets; name one in {field}." if first else "You have no wallet; register a client."
        )
    return first[0]


def readable_wallet(*, name: str, user: Any) -> Account:
    """A wallet whose balance `user` may read: their own, or any for an operator and in the sandbox.

    Raises:
        NotFound: no such wallet of theirs.
    """
    if settings.SANDBOX or user.is_staff:
        return wallet_named(name)
    return own_wallet(name=name, user=user, field="name")


def transfer(*, source: Account, to: str, amount: object, api_key: ApiKey | None = None) -> Transfer:
    """Move tokens from one wallet to another.

    Raises:
        NotFound: no wallet `to`.
        Refused: an amount that cannot be one, too little in the wallet, or a transfer to itself.
        Forbidden: the key's spending limit.
    """
    micro = to_micro(amount, name="amount", minimum=1)
    with transaction.atomic() if api_key else nullcontext():  # without a key it is one statement
        try:
            spend(api_key, micro)
        except Forbidden:
            _other(source, to)  # that there is none is said first, as without a limit
            raise
        made = _send(source, to, micro)
        notifications.changed("clients", "workers")
    return made


def _send(source: Account, to: str, micro: int) -> Transfer:
    key = f"transfer:{uuid.uuid4()}"
    if made := move(source, AccountKind.WALLET, to, micro, Code.TRANSFER, key):
        return made
    destination = _other(source, to)
    with transaction.atomic():
        return post([Posting(source, destination, micro, Code.TRANSFER, key)])[0]


def _other(source: Account, name: str) -> Account:
    found = wallet_named(name)
    if found.pk == source.pk:
        raise Refused("A wallet cannot deal with itself; name another.")
    return found


def approve(*, owner: Account, spender: str, amount: object, api_key: ApiKey | None = None, actor: str) -> Allowance:
    """Let `spender` take up to `amount` out of `owner`, in the place of what it was allowed before; 0 ends it.

    Raises:
        NotFound: no wallet `spender`.
        Refused: an amount that cannot be one, or the owner itself.
        Forbidden: a key with a spending limit, whose limit this would go around.
    """
    if api_key is not None and api_key.spending_limit is not None:
        raise Forbidden("A key with a spending limit gives no allowances.")
    micro, other = to_micro(amount, name="amount"), _other(owner, spender)
    with transaction.atomic():
        allowance, _ = Allowance.objects.update_or_create(
            owner=owner, spender=other, defaults={"amount": micro, "changed_at": database_now()}
        )
        record("token.approved", actor=actor, reason=f"{other.name} may take {in_digits(micro)} from {owner.name}")
    return allowance


def transfer_from(
    *, owner: str, spender: Account, to: str, amount: object, api_key: ApiKey | None = None
) -> tuple[Transfer, int]:
    """Take tokens out of `owner` as `spender` was allowed to. Answers the transfer and what is left of the allowance.

    Raises:
        NotFound: no such wallets.
        Refused: an amount that cannot be one, or more than the allowance or the wallet holds.
    """
    micro, source = to_micro(amount, name="amount", minimum=1), wallet_named(owner)
    destination = _other(source, to)
    with transaction.atomic():
        spend(api_key, micro)
        rows = Allowance.objects.filter(owner=source, spender=spender)
        if not rows.filter(amount__gte=micro).update(amount=F("amount") - micro, changed_at=database_now()):
            left = in_words(allowance(source, spender))
            raise Refused(f"{spender.name} may take {left} from {source.name}.")
        [made] = post([Posting(source, destination, micro, Code.TRANSFER, f"transfer:{uuid.uuid4()}")])
        notifications.changed("clients", "workers")
    return made, allowance(source, spender)


def allowance(owner: Account, spender: Account) -> int:
    """Micro-tokens that `spender` may still take out of `owner`."""
    return Allowance.objects.filter(owner=owner, spender=spender).values_list("amount", flat=True).first() or 0


def find_allowance(*, owner: str, spender: str, user: Any) -> int:
    """The same by names, for either of the two (anybody in the sandbox, an operator).

    Raises:
        NotFound: no such wallets, or neither is the user's.
    """
    both = wallet_named(owner), wallet_named(spender)
    mine = settings.SANDBOX or user.is_staff or wallets_of(user).filter(pk__in=[a.pk for a in both]).exists()
    if not mine:
        raise NotFound(f"There is no wallet {owner[:64]} of yours.")
    return allowance(*both)
