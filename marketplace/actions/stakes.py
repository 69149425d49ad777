"""Stakes: topping up, and taking out after a delay in which a slash still reaches them."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet, Sum

from marketplace import dispatch, notifications
from marketplace.actions import payouts
from marketplace.actions.events import record
from marketplace.actions.keys import spend
from marketplace.actions.ledger import Posting, open_account, post, treasury
from marketplace.actions.standing import ACTOR, lock_worker
from marketplace.domain.errors import NotFound, Refused
from marketplace.domain.ledger import AccountKind, Code
from marketplace.domain.lifecycle import LIVE
from marketplace.domain.money import in_words, to_micro
from marketplace.models import Account, ApiKey, Assignment, Contest, Transfer, Unbonding, Worker, database_now

SWEEP = 500


def find_worker(*, name: str, user: Any) -> Worker:
    """The worker of that name, where `user` may act for it: anybody in the sandbox, its owner or staff elsewhere.

    Raises:
        NotFound: there is none, or it is another's.
    """
    related = ("contributor__wallet", "stake", "unbonding")
    worker = Worker.objects.select_related(*related).filter(name=name).first()
    mine = settings.SANDBOX or (user and worker and (user.is_staff or worker.contributor.user_id == user.pk))
    if worker is None or not mine:
        raise NotFound(f"There is no worker {str(name)[:64]}.")
    return worker


def top_up(*, name: str, amount: object, user: Any, api_key: ApiKey | None = None) -> Worker:
    """Move tokens from the contributor's wallet into the worker's stake.

    Raises:
        NotFound: no such worker of this user's.
        Refused: an amount that cannot be one, more than the wallet holds, or too little to reach the least stake.
    """
    worker = find_worker(name=name, user=user)
    micro = to_micro(amount, name="amount", minimum=1)
    with transaction.atomic():
        worker = lock_worker(worker.pk)
        wallet = worker.contributor.wallet
        if worker.stake.balance + micro < settings.POLICY.micro("minimum_stake"):
            raise Refused(f"A stake is at least {settings.POLICY.minimum_stake:,} tokens; add enough to reach it.")
        spend(api_key, micro)
        # The worker's row is locked, so that the count of its top-ups makes a key of its own.
        count = Transfer.objects.filter(destination=worker.stake, code=Code.STAKE.value).count()
        post([Posting(wallet, worker.stake, micro, Code.STAKE, f"worker:{worker.pk}:stake:{count + 1}")])
        record("worker.staked", actor=name, worker=worker, reason=f"{in_words(micro)} more at stake")
        notifications.changed("workers", "network")
        dispatch.wake_coordinator()
    return find_worker(name=name, user=user)


def unstake(*, name: str, amount: object, user: Any) -> Unbonding:
    """Begin to take stake out: it is in the wallet after the unbonding delay, unless it is slashed before.

    Raises:
        NotFound: no such worker of this user's.
        Refused: more than is at stake, less left than the least stake (nothing left is fine), or so little left that
            it would not cover the rewards in the worker's hands.
    """
    worker = find_worker(name=name, user=user)
    policy = settings.POLICY
    micro = to_micro(amount, name="amount", minimum=1)
    with transaction.atomic():
        worker = lock_worker(worker.pk)
        left = worker.stake.balance - micro
        if left < 0:
            raise Refused(f"{name} has {in_words(worker.stake.balance)} at stake, which is less.")
        if 0 < left < policy.micro("minimum_stake"):
            raise Refused(f"Leave at least {policy.minimum_stake:,} tokens at stake, or take all of it out.")
        live = Assignment.objects.filter(worker=worker, state__in=[state.value for state in LIVE])
        exposed = live.aggregate(total=Sum("job__reward"))["total"] or 0
        if exposed > left * policy.exposure_factor:
            raise Refused(
                f"{name} has {in_words(exposed)} of reward in hand, which the rest would not cover; "
                "wait until its jobs have ended."
            )
        unbonding = worker.unbonding or open_account(AccountKind.UNBONDING, name)
        Worker.objects.filter(pk=worker.pk).update(unbonding=unbonding)
        row = Unbonding.objects.create(
            worker=worker,
            amount=micro,
            release_at=database_now() + timedelta(seconds=policy.unbonding_seconds),
        )
        post([Posting(worker.stake, unbonding, micro, Code.UNBOND, f"unbonding:{row.pk}:begin")])
        record("worker.unstaked", actor=name, worker=worker, reason=f"{in_words(micro)} on their way out")
        notifications.changed("workers", "network")
    return row


def release_due() -> int:
    """Move stake whose delay is over into its contributor's wallet, a loan first. Answers how many.

    It waits on while work that the worker was given before then is unsettled, or a contest of its is open.
    """
    rows = due(database_now()).order_by("release_at")
    return sum(_release(pk, worker) for pk, worker in rows.values_list("pk", "worker")[:SWEEP])


def due(now: datetime) -> QuerySet[Unbonding]:
    return Unbonding.objects.filter(released_at=None, release_at__lte=now)


def _release(pk: int, worker_id: UUID) -> bool:
    with transaction.atomic():
        worker = lock_worker(worker_id)
        if payouts.frozen():
            return False
        row = Unbonding.objects.get(pk=pk)
        # Work that came later rests on the stake that is left: a worker that is never idle gets its stake too.
        live = Assignment.objects.filter(worker=worker, state__in=[state.value for state in LIVE])
        if live.filter(created_at__lt=row.release_at).exists():
            return False
        if Contest.objects.filter(verdict__assignment__worker=worker, outcome=Contest.Outcome.OPEN).exists():
            return False
        if not Unbonding.objects.filter(pk=pk, released_at=None).update(released_at=database_now()):
            return False
        unbonding = Account.objects.get(unbonding_worker=worker)
        amount = min(row.amount, unbonding.balance)  # less what was slashed
        repaid = min(worker.lent, amount)
        wallet = worker.contributor.wallet
        postings = [
            Posting(unbonding, treasury(), repaid, Code.UNBOND, f"unbonding:{pk}:repay"),
            Posting(unbonding, wallet, amount - repaid, Code.UNBOND, f"unbonding:{pk}:release"),
        ]
        post([posting for posting in postings if posting.amount])
        Worker.objects.filter(pk=worker.pk).update(lent=F("lent") - repaid)
        reason = f"{in_words(amount)} came out of the stake"
        record("worker.released", actor=ACTOR, worker=worker, reason=reason)
        notifications.changed("workers", "network")
    return True
