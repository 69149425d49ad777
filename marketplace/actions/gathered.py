"""Submissions that come at the same moment, in one transaction: many cost little more than one.

Nobody waits for others to come: who finds none of the same caller's under way submits what is there, and what comes
meanwhile goes together next.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from marketplace.actions import jobs
from marketplace.actions.submissions import Submission
from marketplace.actions.traces import this_request
from marketplace.domain.errors import Refused
from marketplace.models import ApiKey, Job

MOST = 32  # submissions of one transaction


class _Alone(Exception):
    """One of several was refused, and nothing is written: each is submitted by itself, and gets its own answer."""


@dataclass(eq=False)
class _Waiting:
    submission: Submission
    request_id: str = field(default_factory=this_request)
    outcome: Job | Exception | None = None


_changed = threading.Condition()
_queues: dict[Any, list[_Waiting]] = {}  # what waits, by caller
_under_way: set[Any] = set()  # callers


def submit(*, submission: Submission, user: Any, api_key: ApiKey | None = None) -> Job:
    """`jobs.submit`, together with what else the same user submits with the same key at this moment.

    Raises:
        as `jobs.submit` does
    """
    # Who has begun a transaction decides whether it holds, and not for others; and several at once name their datasets.
    if connection.in_atomic_block or not _names_data_alone(submission):
        return jobs.submit(submission=submission, user=user, api_key=api_key)
    caller, mine = (user and user.pk, api_key and api_key.pk), _Waiting(submission)
    with _changed:
        _queues.setdefault(caller, []).append(mine)
    while mine.outcome is None:
        with _changed:
            _changed.wait_for(lambda: mine.outcome is not None or caller not in _under_way)
            batch = _take(caller) if mine.outcome is None else []
        if batch:
            _submit(batch, caller, user, api_key)
    if isinstance(mine.outcome, _Alone):
        return jobs.submit(submission=submission, user=user, api_key=api_key)
    if isinstance(mine.outcome, Exception):
        raise mine.outcome
    return mine.outcome


def _names_data_alone(submission: Submission) -> bool:
    brought = submission.data is not None or submission.input_data is not None
    return submission.dataset is not None and submission.recipe is None and not brought


def _take(caller: Any) -> list[_Waiting]:
    """What goes next, of a caller for whom nothing is under way until then."""
    queue = _queues.pop(caller)
    if len(queue) > MOST:
        _queues[caller] = queue[MOST:]
    _under_way.add(caller)
    return queue[:MOST]


def _submit(batch: Sequence[_Waiting], caller: Any, user: Any, api_key: ApiKey | None) -> None:
    outcomes: Sequence[Job | Exception] = [RuntimeError("The thread that submitted this job has ended.")] * len(batch)
    try:
        outcomes = _outcomes(batch, user, api_key)
    finally:
        with _changed:
            _under_way.discard(caller)
            for each, outcome in zip(batch, outcomes, strict=True):
                each.outcome = outcome
            _changed.notify_all()


def _outcomes(batch: Sequence[_Waiting], user: Any, api_key: ApiKey | None) -> Sequence[Job | Exception]:
    submissions, request_ids = [each.submission for each in batch], [each.request_id for each in batch]
    try:
        if len(batch) == 1:
            return [jobs.submit(submission=submissions[0], user=user, api_key=api_key)]
        return jobs.submit_many(submissions=submissions, user=user, api_key=api_key, request_ids=request_ids)
    except Refused as refusal:
        return [refusal] if len(batch) == 1 else [_Alone()] * len(batch)
    except Exception as error:  # perhaps at the commit, and then nobody knows whether it holds: not once more
        return [error] * len(batch)
