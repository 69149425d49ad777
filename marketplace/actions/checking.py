"""Checking small answers together: what waits is leased, checked and settled as one batch.

Nobody waits for a batch to fill: a verifier takes what is there, and what comes while it is at work goes into its
next. Whatever is not small, or was tried before, is checked by itself (`settlement.verify`): one that brings its
verifier down takes others with it once at most.
"""

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q

from marketplace import dispatch
from marketplace.actions.settlement import Checked, check, free_at, release, settle, to_check
from marketplace.actions.traces import about
from marketplace.actions.turns import Turns
from marketplace.models import Compiled, Result, database_now

logger = logging.getLogger(__name__)

TOGETHER = 32  # answers that one batch takes
SETTLE_AFTER_SECONDS = 0.5  # of checking, what was found so far is settled
LEASE_SECONDS = 30  # after which another verifier takes each by itself: one may have brought this one down
SMALL_BYTES = 1_000_000  # of the data that the answer is checked against, and of the answer
_job = "assignment__job"
SMALL = Q(
    Q(**{f"{_job}__matrix": None, f"{_job}__dataset__matrix_bytes__lte": SMALL_BYTES})
    | Q(**{f"{_job}__matrix__matrix_bytes__lte": SMALL_BYTES}),
    claim="",  # which is checked by a fit
    size_bytes__lte=SMALL_BYTES,
    check_tries=0,
)

_turns = Turns()


def is_small(result: Result) -> bool:
    """What `SMALL` says of rows, of a result that is about to be written."""
    data = result.assignment.job.data
    return not result.claim and max(result.size_bytes, data.matrix_bytes) <= SMALL_BYTES


def verify_waiting() -> int:
    """Check and settle what small answers wait, batch after batch. Answers how many were taken.

    Of one process's threads one is at work at a time: together they would make small batches of what one could take at
    once.
    """
    return _turns.take(_verify_next)


def _verify_next() -> int:
    dispatch.heed_call()  # what is answered from here on is called anew
    taken = 0
    while results := _lease():
        taken += len(results)
        _verify(results)
        if len(results) < TOGETHER:
            break
    return taken


_first_waiting = Compiled(
    lambda now: (
        to_check()
        .filter(free_at(now), SMALL, checked=False)
        .order_by("received_at")
        .select_for_update(no_key=True, skip_locked=True, of=("self",))[:TOGETHER]
    ),
    datetime,
)


def _lease() -> list[Result]:
    with transaction.atomic():
        now = database_now()
        results = _first_waiting(now)
        Result.objects.filter(assignment__pk__among=[result.pk for result in results]).update(
            check_lease_expires_at=now + timedelta(seconds=LEASE_SECONDS), check_tries=F("check_tries") + 1
        )
    for result in results:
        result.check_tries += 1
    if len(results) == TOGETHER:
        dispatch.verify_waiting_now()  # there may be more, for another verifier to begin with at once
    return results


def _verify(results: Sequence[Result]) -> None:
    right: list[Checked] = []
    settle_at = time.monotonic() + SETTLE_AFTER_SECONDS
    with ExitStack() as files:
        for result in results:
            with about(result.assignment.job, result.assignment):
                checked = check(result, files)
            if checked is None:
                _released(result)
                continue
            if checked.right:
                right.append(checked)
            # Those that came before a wrong one go first: reputation moves in the order in which answers came.
            if right and (not checked.right or time.monotonic() >= settle_at):
                _settle(right)
                right, settle_at = [], time.monotonic() + SETTLE_AFTER_SECONDS
            if not checked.right:
                _settle([checked])
        if right:
            _settle(right)


def _settle(checked: Sequence[Checked]) -> None:
    """Settle all of them at once or, where one of them keeps that from being, one by one."""
    try:
        outcome = settle(checked)
    except Exception:
        logger.exception("Settling %d answers together failed", len(checked))
        outcome = ""
    if outcome:
        for each in checked:
            with about(each.result.assignment.job, each.result.assignment):
                logger.info("Checking assignment %s came to: %s.", each.result.pk, outcome)
    elif len(checked) > 1:
        for each in checked:
            _settle([each])
    else:
        _released(checked[0].result)


def _released(result: Result) -> None:
    """Leave a result to a later try, by itself."""
    try:
        with about(result.assignment.job, result.assignment):
            logger.info("Checking assignment %s came to: %s.", result.pk, release(result) or "settled by another")
    except Exception:
        logger.exception("Assignment %s could not be released and waits for its lease to run out", result.pk)
