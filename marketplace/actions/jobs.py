"""Jobs: submitting and cancelling them."""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from marketplace.actions import audiences, making, payouts
from marketplace.actions.datasets import lock_kept
from marketplace.actions.endings import end_attempt, end_job
from marketplace.actions.intake import Order, enqueue
from marketplace.actions.submissions import Plan, Submission, find_client, plan, plan_named
from marketplace.actions.traces import about, this_request
from marketplace.actions.weighing import require_floor
from marketplace.domain import escrow
from marketplace.domain.errors import NotFound, Refused
from marketplace.domain.lifecycle import AssignmentState, JobState, require_transition
from marketplace.domain.money import to_micro
from marketplace.models import ApiKey, Assignment, Audience, Client, Dataset, Job

__all__ = ["Submission", "cancel", "find_job", "submit", "submit_many"]

logger = logging.getLogger(__name__)

MAX_DEADLINE_SECONDS = 366 * 24 * 3600


def submit(*, submission: Submission, user: Any, api_key: ApiKey | None = None) -> Job:
    """Hold the reward and put the job into the queue, in one transaction.

    A matrix that takes long to make is made by a task, and the job waits for it.

    Raises:
        NotFound: no such client.
        Refused: a request that cannot be done, or not be paid.
        Forbidden: the spending limit of `api_key`, which the reward is counted against.
    """
    client = find_client(address=submission.client_address, user=user)
    reward, seconds = _reward(submission), _deadline_seconds(submission)
    with plan(submission, user) as planned, ExitStack() as files:
        require_floor(planned.floor, reward)
        if planned.prepared:
            planned.prepared.write(files)
        with transaction.atomic():
            planned.brought.insert(alone=planned.prepared is not None)
            audience = _audience(submission, planned, user)
            (job,) = enqueue([Order(client, planned, audience, reward, seconds, this_request())], api_key)
            if planned.waits:
                making.join(job)
            planned.store()
    with about(job):
        logger.info("Job %s is submitted.", job.pk)  # names are the database's to know, not logs'
    return job


def submit_many(
    *, submissions: Sequence[Submission], user: Any, api_key: ApiKey | None = None, request_ids: Sequence[str] = ()
) -> list[Job]:
    """Submit all of them or none, in one transaction of as many statements as for one. Each names its dataset.

    Args:
        request_ids: of the requests that they came with, where that is not the one that is answered here.

    Raises:
        as `submit` does; what is wrong with one of them says which, counted from 0.
    """
    clients: dict[str, Client] = {}
    known: dict[str, Dataset] = {}
    found: dict[tuple[str, str], Audience | None] = {}
    plans, asked, deadlines = [], [], []
    for number, each in enumerate(submissions):
        with _naming(number):
            if each.client_address not in clients:
                clients[each.client_address] = find_client(address=each.client_address, user=user)
            plans.append(plan_named(each, user, known))
            require_floor(plans[-1].floor, _reward(each))
            asked.append((plans[-1].dataset.pk, json.dumps(each.receivers, sort_keys=True)))
            deadlines.append(_deadline_seconds(each))
    with transaction.atomic():
        lock_kept(planned.dataset for planned in plans)
        # Who may receive them is locked in one order, whatever the request's: two at once must not wait for each other.
        for number in sorted(range(len(asked)), key=asked.__getitem__):
            with _naming(number):
                if asked[number] not in found:
                    found[asked[number]] = _audience(submissions[number], plans[number], user)
        orders = [
            Order(clients[each.client_address], planned, found[receivers], _reward(each), seconds, request_id)
            for each, planned, receivers, seconds, request_id in zip(
                submissions, plans, asked, deadlines, request_ids or [this_request()] * len(plans), strict=True
            )
        ]
        jobs = enqueue(orders, api_key)
    for job in jobs:
        with about(job):
            logger.info("Job %s is submitted, one of %d.", job.pk, len(jobs))
    return jobs


@contextmanager
def _naming(number: int) -> Iterator[None]:
    """What is refused inside says which of many jobs it is about."""
    try:
        yield
    except Refused as error:
        raise type(error)(f"jobs[{number}]: {error}") from None


def _audience(submission: Submission, planned: Plan, user: Any) -> Audience | None:
    """Who may receive the data, which the dataset goes on saying until the transaction ends."""
    receivers = audiences.for_job(given=submission.receivers, dataset=planned.dataset, user=user, lock=True)
    return audiences.stored(receivers)


def _reward(submission: Submission) -> int:
    return to_micro(submission.reward, name="reward", minimum=max(1, settings.POLICY.micro("minimum_reward")))


def _deadline_seconds(submission: Submission) -> float:
    seconds = submission.deadline_seconds
    if seconds is None:
        return settings.POLICY.deadline_seconds
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds <= MAX_DEADLINE_SECONDS:
        raise Refused("deadline_seconds must be more than 0 and at most a year.")
    return seconds


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
