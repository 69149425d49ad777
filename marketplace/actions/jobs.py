"""Jobs: submitting and cancelling them."""

import logging
import secrets
import uuid
from contextlib import ExitStack
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from structlog.contextvars import get_contextvars

from marketplace import dispatch, notifications
from marketplace.actions import audiences, payouts
from marketplace.actions.endings import end_attempt, end_job
from marketplace.actions.events import record
from marketplace.actions.keys import spend
from marketplace.actions.ledger import Posting, open_account, post
from marketplace.actions.submissions import Plan, Submission, find_client, plan
from marketplace.actions.traces import about
from marketplace.domain import escrow, matching
from marketplace.domain.errors import NotFound, Refused
from marketplace.domain.ledger import AccountKind, Code
from marketplace.domain.lifecycle import AssignmentState, JobState, require_transition
from marketplace.domain.money import in_words, to_micro
from marketplace.models import ApiKey, Assignment, Audience, Client, Job, Network, ResourceClass, database_now

__all__ = ["Submission", "cancel", "find_job", "submit"]

logger = logging.getLogger(__name__)

MAX_DEADLINE_SECONDS = 366 * 24 * 3600


def submit(*, submission: Submission, user: Any, api_key: ApiKey | None = None) -> Job:
    """Hold the reward and put the job into the queue, in one transaction.

    Raises:
        NotFound: no such client.
        Refused: a request that cannot be done, or not be paid.
        Forbidden: the spending limit of `api_key`, which the reward is counted against.
    """
    client = find_client(address=submission.client_address, user=user)
    reward = to_micro(submission.reward, name="reward", minimum=max(1, settings.POLICY.micro("minimum_reward")))
    deadline = _deadline_seconds(submission)
    with plan(submission, user) as planned, ExitStack() as files:
        _require_floor(planned, reward)
        if planned.prepared:
            planned.prepared.write(files)
        with transaction.atomic():
            dataset = planned.brought.insert()
            receivers = audiences.for_job(given=submission.receivers, dataset=dataset, user=user, lock=True)
            job = _insert(client, planned, audiences.stored(receivers), reward, deadline, api_key)
            planned.store()
    with about(job):
        logger.info("Job %s is submitted.", job.pk)  # by whom is the database's to know
    return job


def _require_floor(planned: Plan, reward: int) -> None:
    """A job pays at least what keeping its data and checking its answer is worth, so that none are sent for nothing."""
    if reward < planned.floor:
        raise Refused(
            f"reward must be at least {in_words(planned.floor)} for this job: its data and the checking of "
            "its answer cost the network that much."
        )


def _require_few_open(client: Client) -> None:
    """Whoever has as many open jobs as the policy allows waits for one to end."""
    mine = Q(client__user=client.user_id) if client.user_id else Q(client=client)
    if Job.objects.filter(mine, ended_at=None).count() >= settings.POLICY.open_jobs_per_client:
        raise Refused(
            f"You have {settings.POLICY.open_jobs_per_client:,} open jobs, which is the most; wait until some have "
            "ended, or cancel some."
        )


def _deadline_seconds(submission: Submission) -> float:
    seconds = submission.deadline_seconds
    if seconds is None:
        return settings.POLICY.deadline_seconds
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds <= MAX_DEADLINE_SECONDS:
        raise Refused("deadline_seconds must be more than 0 and at most a year.")
    return seconds


def _insert(
    client: Client,
    planned: Plan,
    audience: Audience | None,
    reward: int,
    deadline_seconds: float,
    api_key: ApiKey | None,
) -> Job:
    # The client's row is locked: its jobs queue one behind the other.
    client = Client.objects.select_for_update(no_key=True, of=("self",)).select_related("wallet").get(pk=client.pk)
    _require_few_open(client)
    virtual_time = Network.objects.values_list("virtual_time", flat=True).get(pk=1)
    start = matching.virtual_start(virtual_time=virtual_time, virtual_finish=client.virtual_finish)
    served = max(planned.quoted_seconds, matching.LEAST_SERVICE_SECONDS)
    Client.objects.filter(pk=client.pk).update(virtual_finish=start + served)
    demand = planned.demand
    resource_class, _ = ResourceClass.objects.get_or_create(
        gpu_tag=demand.gpu_tag,
        min_memory_bytes=demand.min_memory_bytes,
        min_compute_capacity=demand.min_compute_capacity,
        audience=audience,
    )
    job_id = uuid.uuid4()
    job = Job.objects.create(
        id=job_id,
        client=client,
        model_type=planned.model.name,
        dataset=planned.dataset,
        matrix=planned.prepared.insert(planned.dataset) if planned.prepared else None,
        params=planned.params,
        features=planned.features,
        target=planned.target,
        seed=secrets.randbelow(2**31),
        resource_class=resource_class,
        reward=reward,
        escrow=open_account(AccountKind.ESCROW, str(job_id)),
        quoted_seconds=planned.quoted_seconds,
        virtual_start=start,
        max_attempts=settings.POLICY.max_attempts,
        deadline_at=database_now() + timedelta(seconds=deadline_seconds),
        request_id=str(get_contextvars().get("request_id", "")),
    )
    spend(api_key, reward)
    post([Posting(client.wallet, job.escrow, reward, Code.HOLD, f"job:{job.pk}:hold", job)])
    record("job.submitted", actor=client.address, job=job, after=JobState.PENDING)
    notifications.changed("jobs", "clients", "network")
    dispatch.wake_coordinator()
    return job


def find_job(*, job_id: UUID, user: Any) -> Job:
    """The job, where `user` may see it.

    Raises:
        NotFound: there is none, or it is another's.
    """
    job = Job.objects.select_related("client", "worker", "dataset").filter(pk=job_id).first()
    if job is None or not (settings.SANDBOX or (user and (user.is_staff or job.client.user_id == user.pk))):
        raise NotFound(f"There is no job {job_id}.")
    return job


def cancel(*, job_id: UUID, user: Any, actor: str) -> Job:
    """Call a job off: the reward goes back, less the share of a worker that was computing.

    Raises:
        NotFound: no such job of this user's.
        Conflict: it has ended, or its answer is being checked.
    """
    find_job(job_id=job_id, user=user)
    with transaction.atomic():
        job = Job.objects.select_for_update(no_key=True).get(pk=job_id)
        require_transition(job.state, JobState.CANCELLED)
        live = Assignment.objects.filter(job=job, fence=job.attempt, state__in=["dispatched", "started"]).first()
        computing = job.state == JobState.COMPUTING.value
        if live:
            end_attempt(live, AssignmentState.CANCELLED, actor=actor, reason="the job was cancelled")
        split = escrow.on_cancelled(job.reward, computing=computing, cancel_share=settings.POLICY.cancel_share)
        if split.captured:
            payouts.require_thawed()
        end_job(job, JobState.CANCELLED, split, actor=actor, reason=f"Cancelled by {actor}.")
    job.refresh_from_db()
    return job
