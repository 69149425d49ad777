"""New tokens: an operator's decision, with its reason on record."""

from django.db import transaction

from marketplace import notifications
from marketplace.actions.events import record
from marketplace.actions.ledger import Posting, issuance, post, treasury
from marketplace.domain.errors import NotFound, Refused
from marketplace.domain.ledger import AccountKind, Code
from marketplace.domain.money import in_words, to_micro
from marketplace.models import Account, Transfer

MAX_REASON = 500


def mint(*, amount: object, to: str = "", reason: str, actor: str) -> Transfer:
    """Issue `amount` tokens to the wallet named `to`, or to the treasury where it names none.

    Raises:
        NotFound: no such wallet.
        Refused: an amount that cannot be one, or no reason.
    """
    micro = to_micro(amount, name="amount", minimum=1)
    if not 1 <= len(reason.strip()) <= MAX_REASON:
        raise Refused(f"Say in 1 to {MAX_REASON} characters why these tokens are issued.")
    account = Account.objects.filter(kind=AccountKind.WALLET.value, name=to).first() if to else treasury()
    if account is None:
        raise NotFound(f"There is no wallet {to[:64]}.")
    with transaction.atomic():
        said = f"{in_words(micro)} to {account}: {reason.strip()}"
        event = record("ledger.minted", actor=actor, reason=said)
        [transfer] = post([Posting(issuance(), account, micro, Code.MINT, f"event:{event.pk}:mint")])
        notifications.changed("clients", "workers", "network")
    return transfer
