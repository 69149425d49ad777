"""Tokens given by operators: once or every month, and by the faucet. They come out of the treasury."""

import logging
from datetime import UTC, datetime
from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet, Sum

from marketplace import notifications
from marketplace.actions import payouts
from marketplace.actions.events import record
from marketplace.actions.ledger import Posting, post, treasury
from marketplace.domain.errors import Conflict, Forbidden, InsufficientFunds, NotFound, Refused
from marketplace.domain.ledger import AccountKind, Code
from marketplace.domain.money import in_words, to_micro
from marketplace.models import Account, Client, Grant, Transfer, database_now

log = logging.getLogger(__name__)
FAUCET_KEY = "faucet:user:"


def wallet_named(name: str) -> Account:
    """
    Raises:
        NotFound: there is none.
    """
    found = Account.objects.filter(kind=AccountKind.WALLET.value, name=name).first()
    if found is None:
        raise NotFound(f"There is no wallet {str(name)[:64]}.")
    return found


def make_grant(*, to: str, amount: object, period: str, actor: str) -> Grant:
    """A grant to the wallet `to`; what is due at once is paid at once, where the treasury holds it.

    Raises:
        NotFound: no such wallet.
        Refused: an amount or a period that cannot be one.
    """
    if period not in Grant.Period.values:
        raise Refused(f"period must be {' or '.join(Grant.Period.values)}.")
    micro = to_micro(amount, name="amount", minimum=1)
    wallet = wallet_named(to)
    with transaction.atomic():
        grant = Grant.objects.create(wallet=wallet, amount=micro, period=period, created_by=actor)
        record("grant.made", actor=actor, reason=f"grant {grant.pk}: {in_words(micro)} {period} to {to}")
    _try_to_pay(grant, database_now())
    grant.refresh_from_db()
    return grant


def stop_grant(*, grant_id: int, actor: str) -> Grant:
    """Pay no more of it.

    Raises:
        NotFound: no such grant.
    """
    with transaction.atomic():
        if Grant.objects.filter(pk=grant_id, stopped_at=None).update(stopped_at=database_now()):
            record("grant.stopped", actor=actor, reason=f"grant {grant_id}")
        found = Grant.objects.select_related("wallet").filter(pk=grant_id).first()
    if found is None:
        raise NotFound(f"There is no grant {grant_id}.")
    return found


def period_of(grant: Grant, now: datetime) -> str:
    """The period that is due now: a month of UTC, or the only one."""
    return f"{now.astimezone(UTC):%Y-%m}" if grant.period == Grant.Period.MONTHLY else Grant.Period.ONCE.value


def pay_due() -> int:
    """Pay every grant whose period has come; answers how many. Running it twice pays nothing twice."""
    now = database_now()
    return sum(_try_to_pay(grant, now) for grant in due(f"{now.astimezone(UTC):%Y-%m}").order_by("pk"))


def due(month: str) -> QuerySet[Grant]:
    come = Q(period=Grant.Period.ONCE.value, paid_for="") | (Q(period=Grant.Period.MONTHLY.value) & ~Q(paid_for=month))
    return Grant.objects.filter(come, stopped_at=None)


def _try_to_pay(grant: Grant, now: datetime) -> bool:
    """Pay one; while payouts are frozen, or the treasury holds too little, it stays due."""
    period = period_of(grant, now)
    try:
        with transaction.atomic():
            if payouts.frozen():
                return False
            # Of two coordinators, one changes the row; the transfer's key holds against everything else.
            rows = Grant.objects.filter(pk=grant.pk, stopped_at=None).exclude(paid_for=period)
            if not rows.update(paid_for=period):
                return False
            wallet = Account.objects.get(pk=grant.wallet_id)
            post([Posting(treasury(), wallet, grant.amount, Code.GRANT, f"grant:{grant.pk}:{period}")])
            notifications.changed("clients", "network")
    except InsufficientFunds as refusal:
        log.warning("Grant %s is not paid: %s", grant.pk, refusal)
        return False
    return True


def draw_from_faucet(*, address: str, user: Any) -> Client:
    """Give a client of `user`'s the faucet's tokens, once an account.

    Raises:
        Refused: the faucet is off, today's tokens are given, or the treasury is empty.
        Forbidden: no e-mail address of the account is shown to be its own.
        Conflict: this account has drawn already, or payouts are frozen.
        NotFound: no such client of this user's.
    """
    micro = to_micro(settings.FAUCET_TOKENS, name="FAUCET_TOKENS")
    if not micro:
        raise Refused("This network has no faucet; ask an operator for a grant.")
    client = Client.objects.select_related("wallet").filter(address=address, user=user).first()
    if client is None:
        raise NotFound(f"You have no client {str(address)[:64]}.")
    if not EmailAddress.objects.filter(user=user, verified=True).exists():
        raise Forbidden("Confirm your e-mail address first: the page E-mail of your account sends you a link.")
    key = f"{FAUCET_KEY}{user.pk}"
    with transaction.atomic():
        payouts.require_thawed()
        source = Account.objects.select_for_update(no_key=True).get(pk=treasury().pk)  # one draws at a time
        if Transfer.objects.filter(idempotency_key=key).exists():
            raise Conflict("Your account has had the faucet's tokens already.")
        midnight = database_now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        today = Transfer.objects.filter(
            source=source, code=Code.GRANT.value, created_at__gte=midnight, idempotency_key__startswith=FAUCET_KEY
        )
        given = today.aggregate(sum=Sum("amount"))["sum"] or 0
        if given + micro > to_micro(settings.FAUCET_DAILY_CAP, name="FAUCET_DAILY_CAP"):
            raise Refused("The faucet has given what it gives in a day; come back tomorrow.")
        post([Posting(source, client.wallet, micro, Code.GRANT, key)])
        record("faucet.drawn", actor=user.get_username(), reason=f"{in_words(micro)} to {address}")
        notifications.changed("clients", "network")
    client.wallet.refresh_from_db()
    return client
