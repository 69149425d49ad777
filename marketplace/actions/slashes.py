"""What a wrong answer costs: stake, reputation, and its worker's place in the market where that falls too low."""

from django.conf import settings

from marketplace.actions import standing
from marketplace.actions.endings import end_attempt, give_up_attempt
from marketplace.actions.events import record
from marketplace.actions.ledger import Posting, post, treasury
from marketplace.domain import escrow, reputation
from marketplace.domain.ledger import Code
from marketplace.domain.lifecycle import AssignmentState, Fault
from marketplace.domain.money import in_words
from marketplace.models import Account, Assignment, Job, Worker
from workers.catalog.base import Check

ACTOR = standing.ACTOR


def punish(job: Job, assignment: Assignment, check: Check) -> list[Worker]:
    """Slash and mark down for a wrong answer. Answers the workers that are deactivated by it."""
    worker, policy = standing.lock_worker(assignment.worker_id), settings.POLICY
    contributor = worker.contributor
    end_attempt(assignment, AssignmentState.REJECTED, actor=ACTOR, reason=check.reason, fault=Fault.WORKER)
    total = _slash(worker, assignment, job)
    after = reputation.after_rejected(contributor.reputation, policy)
    reason = f"{check.reason} It cost {in_words(total)} of stake."
    standing.move(contributor, after, reason=reason, actor=ACTOR, assignment=assignment, rejected=1)
    record("worker.slashed", actor=ACTOR, job=job, assignment=assignment, worker=worker, reason=reason)
    give_up_attempt(job, fault=Fault.WORKER, actor=ACTOR, reason=check.reason)
    return standing.deactivate_below_minimum(contributor, after)


def _slash(worker: Worker, assignment: Assignment, job: Job) -> int:
    """Slash the locked worker's stake, and what is on its way out; a share goes to the client. Answers the total."""
    policy = settings.POLICY
    cost = escrow.split_slash(
        stake=worker.stake.balance,
        unbonding=worker.unbonding.balance if worker.unbonding else 0,
        lent=worker.lent,
        reward=job.reward,
        share=policy.slash_share,
        to_client_share=policy.slash_to_client_share,
    )
    client, treasury_ = Account.objects.get(client=job.client_id), treasury()
    owed_client, postings = cost.to_client, []
    for source, amount in ((worker.stake, cost.from_stake), (worker.unbonding, cost.from_unbonding)):
        for to, part in ((client, min(amount, owed_client)), (treasury_, amount - min(amount, owed_client))):
            if part and source:
                key = f"assignment:{assignment.pk}:slash:{source.kind}:{to.kind}"
                postings.append(Posting(source, to, part, Code.SLASH, key, job))
        owed_client -= min(amount, owed_client)
    post(postings)
    return cost.total
