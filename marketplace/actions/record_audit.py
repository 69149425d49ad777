"""Holding attempts, reputations and loans against the rows that give their reasons."""

from collections.abc import Iterator

from django.db.models import Count, Exists, F, OuterRef, Q, Subquery, Sum, Window
from django.db.models.functions import Lag

from marketplace.domain.ledger import AccountKind, Code
from marketplace.domain.lifecycle import JOB_STATE_OF, LIVE
from marketplace.models import Assignment, Contest, Contributor, Job, ReputationChange, Transfer, Worker


def problems() -> list[str]:
    """What does not fit, a sentence each.

    Each open job is where its newest attempt is, and the other way round; each reputation is what its newest change
    made it, each change began where the last one ended, answers are counted right, and each loan is what transfers
    left of it.
    """
    return [*_attempts(), *_reputations(), *_loans()]


def _attempts() -> Iterator[str]:
    fits = Q()
    for attempt, job in JOB_STATE_OF.items():
        fits |= Q(state=attempt.value, job__state=job.value, fence=F("job__attempt"))
    live = Assignment.objects.filter(state__in=[state.value for state in LIVE])
    for pk, job_id in live.exclude(fits).values_list("pk", "job"):
        yield f"Assignment {pk} is live, and its job {job_id} is elsewhere."
    in_hand = Job.objects.filter(state__in=[state.value for state in JOB_STATE_OF.values()])
    own = live.filter(job=OuterRef("pk"), worker=OuterRef("worker"))
    for pk, state in in_hand.exclude(Exists(own)).values_list("pk", "state"):
        yield f"Job {pk} is {state}, and no worker has it."


def _reputations() -> Iterator[str]:
    last = ReputationChange.objects.filter(contributor=OuterRef("pk")).order_by("-id").values("after")[:1]
    changed = Contributor.objects.annotate(last=Subquery(last)).exclude(last=None).exclude(reputation=F("last"))
    for name, score in changed.values_list("name", "reputation"):
        yield f"The reputation of {name} is {score:g}, which no change made it."
    before = Window(Lag("after"), partition_by=F("contributor"), order_by=F("id").asc())
    broken = ReputationChange.objects.annotate(ended=before).exclude(ended=None).exclude(ended=F("before"))
    for pk, name in broken.values_list("pk", "contributor__name"):
        yield f"Change {pk} of the reputation of {name} does not begin where the one before it ended."
    overturned = dict(
        Contest.objects.filter(outcome=Contest.Outcome.OVERTURNED)
        .values_list("verdict__assignment__worker__contributor")
        .annotate(count=Count("pk"))
    )
    right = Count("reputation_changes", filter=Q(reputation_changes__assignment__state="accepted"))
    state = Q(reputation_changes__assignment__state="rejected")
    wrong = Count("reputation_changes__assignment", filter=state, distinct=True)
    for each in Contributor.objects.annotate(right=right, wrong=wrong):
        if (each.verified, each.rejected) != (each.right, each.wrong - overturned.get(each.pk, 0)):
            yield f"{each.name} counts {each.verified} right and {each.rejected} wrong answers, which it did not give."


def _loans() -> Iterator[str]:
    def sums(by: str, code: Code, to: AccountKind) -> dict[object, int]:
        rows = Transfer.objects.filter(code=code.value, destination__kind=to.value)
        return dict(rows.order_by().values_list(by).annotate(sum=Sum("amount")))

    lent = sums("destination", Code.LEND, AccountKind.STAKE)
    earned = sums("job__worker", Code.LEND, AccountKind.TREASURY)
    taken_out = sums("source", Code.UNBOND, AccountKind.TREASURY)
    for pk, name, stake, out, owed in Worker.objects.values_list("pk", "name", "stake", "unbonding", "lent"):
        left = lent.get(stake, 0) - earned.get(pk, 0) - taken_out.get(out, 0)
        if owed != left:
            yield f"Worker {name} owes {owed} micro-tokens of a loan; its transfers leave {left}."
