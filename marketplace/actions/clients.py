"""Clients: registering them."""

from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from marketplace import notifications
from marketplace.actions.events import record
from marketplace.actions.ledger import Posting, issuance, open_account, post
from marketplace.actions.names import check_name
from marketplace.domain.errors import Forbidden, Refused
from marketplace.domain.ledger import AccountKind, Code
from marketplace.domain.money import in_words, to_micro
from marketplace.models import Client


def register_client(*, address: str, initial_balance: object | None, user: Any) -> Client:
    """A new client with a wallet of its name. Only the sandbox and an operator give it money to begin with.

    Raises:
        Refused: a name that cannot be one or is taken; an amount that cannot be one.
        Forbidden: a starting balance that is not an operator's, outside the sandbox.
    """
    check_name(address, what="client_address")
    if settings.SANDBOX:
        given = settings.POLICY.sandbox_client_grant if initial_balance is None else initial_balance
        grant = to_micro(given, name="initial_balance")
    elif initial_balance and not (user and user.is_staff):
        raise Forbidden("Outside the sandbox nobody sets their own balance; ask an operator for a grant.")
    else:  # what an operator names is minted, and written down
        grant = to_micro(initial_balance or 0, name="initial_balance")
    try:
        with transaction.atomic():
            wallet = open_account(AccountKind.WALLET, address)
            client = Client.objects.create(address=address, user=user, wallet=wallet)
            if grant:
                post([Posting(issuance(), wallet, grant, Code.MINT, f"client:{client.pk}:mint")])
            record("client.registered", actor=address)
            if grant and not settings.SANDBOX:
                record("ledger.minted", actor=user.get_username(), reason=f"{in_words(grant)} to {address}")
            notifications.changed("clients", "network")
    except IntegrityError:
        raise Refused(f"The name {address} is taken.") from None
    client.wallet.refresh_from_db()
    return client
