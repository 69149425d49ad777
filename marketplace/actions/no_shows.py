"""What it costs a worker to take a job, begin, and never be heard of again.

Little, since machines do fail; and nothing where the machine said that it stops (a failure that it lays to the
system, draining), or could not have been heard.
"""

from datetime import timedelta

from django.conf import settings

from marketplace.actions import standing
from marketplace.actions.events import record
from marketplace.actions.ledger import Posting, post, treasury
from marketplace.actions.pulse import was_reachable
from marketplace.domain import escrow, reputation
from marketplace.domain.ledger import Code
from marketplace.domain.money import in_words
from marketplace.models import Assignment, Job, Worker

ACTOR = "coordinator"


def charge(job: Job, assignment: Assignment) -> list[Worker]:
    """Take the price of a no-show, in the transaction that ends the attempt, the job's row locked.

    Answers the workers that lose their way into Redis by it.
    """
    policy = settings.POLICY
    machine = assignment.worker.machine
    since = assignment.lease_expires_at - timedelta(seconds=policy.lease_seconds)
    if assignment.worker.why_resting(since) or not was_reachable(machine, since):
        return []
    worker = standing.lock_worker(assignment.worker_id)
    cost = escrow.slash(stake=worker.stake.balance, reward=job.reward, share=policy.no_show_share)
    if cost:
        post([Posting(worker.stake, treasury(), cost, Code.SLASH, f"assignment:{assignment.pk}:no-show", job)])
    contributor = worker.contributor
    after = reputation.after_no_show(contributor.reputation, policy)
    reason = f"{worker.name} fell silent while computing; it cost {in_words(cost)} of stake."
    standing.move(contributor, after, reason=reason, actor=ACTOR, assignment=assignment)
    record("worker.no_show", actor=ACTOR, job=job, assignment=assignment, worker=worker, reason=reason)
    return standing.deactivate_below_minimum(contributor, after)
