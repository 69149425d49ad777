"""The invariants: after each event what it touched, every so often everything."""

from django.db import connection
from django.db.models import Count, F, Sum

from marketplace.actions.audit import audit
from marketplace.domain.lifecycle import ENDED, JOB_TRANSITIONS, JobState
from marketplace.models import Account, Assignment, Job, Transfer, Verdict


class Watch:
    """Follows each job's events with a table of its own, so that the code under test is not its own witness."""

    def __init__(self) -> None:
        self.seen = 0
        self.states: dict[object, str] = {}
        self.ended: dict[str, int] = {}

    def look(self) -> None:
        """What the last event wrote: legal steps, each job ended once, paid at most once and for a right answer."""
        with connection.cursor() as cursor:
            cursor.execute(
                'SELECT id, job_id, kind, "before", "after" FROM marketplace_event WHERE id > %s ORDER BY id',
                [self.seen],
            )
            rows = cursor.fetchall()
        for self.seen, job, kind, before, after in rows:
            if job is None or not kind.startswith("job."):
                continue
            known = self.states.get(job, "")
            assert before == known, f"job {job} was {known}, and an event says {before} → {after}"
            assert not known or JobState(after) in JOB_TRANSITIONS[JobState(known)], f"job {job}: {before} → {after}"
            self.states[job] = after
            if JobState(after) in ENDED:
                self.ended[after] = self.ended.get(after, 0) + 1
                self._ended(job)

    def _ended(self, job_id: object) -> None:
        job = Job.objects.select_related("escrow").get(pk=job_id)
        assert job.escrow.balance == 0, f"job {job.pk} ended with tokens in escrow"
        paid = [t.amount for t in Transfer.objects.filter(job=job, code="capture")]
        assert len(paid) <= 1, f"job {job.pk} was paid {len(paid)} times"
        accepted = Verdict.objects.filter(assignment__job=job, assignment__fence=job.attempt, outcome="accepted")
        if job.state == "verified":
            assert paid == [job.reward], f"job {job.pk} was verified and paid {paid}"
            assert accepted.count() == 1, f"job {job.pk} was verified without a right answer"
        elif job.state == "failed":
            assert paid == [], f"job {job.pk} failed and was paid {paid}"
        live = Assignment.objects.filter(job=job, state__in=["dispatched", "started", "submitted"])
        assert not live.exists(), f"job {job.pk} ended with a live assignment"

    def everything(self) -> None:
        found = audit()
        assert found.ok, "; ".join(found.problems)
        assert Account.objects.aggregate(sum=Sum("balance"))["sum"] == 0
        assert not Account.objects.exclude(kind="issuance").filter(balance__lt=0).exists()
        open_ = Assignment.objects.filter(state__in=["dispatched", "started"])
        twice = open_.values("worker").annotate(n=Count("pk")).filter(n__gt=1)
        assert not twice.exists(), "a worker has two open assignments"
        dead = Assignment.objects.filter(state__in=["dispatched", "started", "submitted"])
        assert not dead.exclude(fence=F("job__attempt")).exists(), "a dead attempt is still live"
