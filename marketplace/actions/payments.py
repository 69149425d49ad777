"""Paying for right answers: one or many, in the same number of statements."""

from collections.abc import Sequence

from django.conf import settings

from marketplace.actions import standing
from marketplace.actions.endings import Verified, end_verified
from marketplace.actions.ledger import Posting, treasury
from marketplace.domain import escrow
from marketplace.domain.ledger import Code
from marketplace.models import Worker, update_each

ACTOR = standing.ACTOR


def pay(verified: Sequence[Verified]) -> None:
    """Pay for each, in order, out of its job's escrow, and end it. The jobs' rows are locked, with client and escrow.

    Raises:
        Conflict: somebody else ended one of them.
    """
    workers = standing.lock_earners({each.assignment.worker_id for each in verified})
    completed = {key: worker.jobs_completed for key, worker in workers.items()}
    lent = {key: worker.lent for key, worker in workers.items()}
    owed_to = treasury() if any(lent.values()) else None
    postings: list[Posting] = []
    for each in verified:
        job, key = each.job, each.assignment.worker_id
        wallet = workers[key].contributor.wallet
        earned = escrow.on_verified(job.reward).captured
        postings.append(Posting(job.escrow, wallet, earned, Code.CAPTURE, f"job:{job.pk}:capture", job))
        repaid = escrow.repayment(earned=job.reward, lent=lent[key], share=settings.POLICY.loan_repayment_share)
        if repaid and owed_to:
            reference = f"assignment:{each.assignment.pk}:repay"
            postings.append(Posting(wallet, owed_to, repaid, Code.LEND, reference, job))
        lent[key] -= repaid
        completed[key] += 1
    end_verified(verified, postings, actor=ACTOR)
    update_each(Worker, {key: {"jobs_completed": completed[key], "lent": lent[key]} for key in workers})
    # A job of one's own runs like any other, but earns no reputation.
    earners = [(workers[each.assignment.worker_id].contributor, each) for each in verified]
    standing.credit(
        [
            (contributor, each.assignment)
            for contributor, each in earners
            if contributor.user_id is None or contributor.user_id != each.job.client.user_id
        ],
        actor=ACTOR,
    )
