"""Taking in answers: a machine sends at once what it has computed. Each is on the disk before its row is written."""

import hashlib
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, BinaryIO
from uuid import UUID

from django.db import transaction

from marketplace import dispatch, notifications, storage
from marketplace.actions import live
from marketplace.actions.checking import is_small
from marketplace.actions.events import record_all
from marketplace.actions.traces import about
from marketplace.domain.errors import Conflict, Gone, NoRoom, NotFound, Refused
from marketplace.domain.lifecycle import AssignmentState, JobState
from marketplace.models import Assignment, Event, Job, Result, Worker, insert_all
from marketplace.verification.answers import bytes_max
from workers.catalog import MODELS

logger = logging.getLogger(__name__)

DEAD = "The assignment is dead: it was answered, cancelled or given to another worker."


@dataclass(frozen=True)
class Answer:
    """What a machine computed for an assignment."""

    assignment_id: UUID
    fence: int
    digest: str  # SHA-256 of `body`, in hexadecimal
    seconds: float  # what the machine says that computing took
    body: BinaryIO  # read once, block by block


@dataclass(frozen=True)
class _Received:
    """An answer that was read, the `number`-th of its batch."""

    number: int
    file: IO[bytes]
    result: Result


def submit_all(*, machine: Worker, answers: Sequence[Answer]) -> list[None | Refused]:
    """Take in several answers, each once, in as many statements as one.

    One that is refused keeps none of the others back.

    Returns:
        for each, in the order given, None where it is in, or why it is not. `NotFound`: it is not this machine's.
        `Refused`: empty, not of its digest, or more bytes than any answer of the model has. `Conflict`: another answer
        is in already. `Gone`: the assignment is dead. `NoRoom`: the disk is full.
    """
    found = live.find_all(machine, {each.assignment_id for each in answers})
    said: dict[int, None | Refused] = {}
    received: dict[UUID, _Received] = {}
    with ExitStack() as files:
        for number, answer in enumerate(answers):
            assignment = found.get(answer.assignment_id)
            if assignment is None:
                said[number] = NotFound("There is no such assignment.")
            elif _is_wanted(assignment, answer) and assignment.pk not in received:
                try:
                    received[assignment.pk] = _receive(number, answer, assignment, files)
                except Refused as refused:
                    said[number] = refused
        try:
            said |= {received[pk].number: None for pk in _keep(machine, received)}
        except NoRoom as full:
            said |= {each.number: full for each in received.values()}
    # What was not wanted, or no longer, may be the same message once more.
    again = [number for number in range(len(answers)) if number not in said]
    known = Result.objects.in_bulk([answers[number].assignment_id for number in again])
    for number in again:
        pk = answers[number].assignment_id
        said[number] = _differs(found[pk], known.get(pk), answers[number])
    return [said[number] for number in range(len(answers))]


def _is_wanted(assignment: Assignment, answer: Answer) -> bool:
    return assignment.state == AssignmentState.STARTED.value and assignment.fence == answer.fence


def _differs(assignment: Assignment, known: Result | None, answer: Answer) -> None | Refused:
    """Why this is not the answer that is in; None where it is."""
    if known is None:
        return Gone(DEAD)
    if assignment.fence != answer.fence:
        return Gone("The fence is not this assignment's.")
    if known.sha256 != answer.digest:
        return Conflict("Another answer to this assignment is in already.")
    return None


def answer_bytes_max(assignment: Assignment) -> int:
    """No right answer to this assignment is a larger file."""
    job = assignment.job
    return bytes_max(MODELS[job.model_type], job.params, job.data.rows, len(job.fitted_columns))


def _receive(number: int, answer: Answer, assignment: Assignment, files: ExitStack) -> _Received:
    """Write an answer into a file that lives as long as `files`.

    Raises:
        Refused: it is empty, longer than any right one, or has another digest.
        NoRoom: the disk is full.
    """
    with ExitStack() as own:
        file = own.enter_context(storage.temporary())
        size = _copy(answer.body, file, answer.digest, answer_bytes_max(assignment))
        files.push(own.pop_all())
    return _Received(number, file, Result(sha256=answer.digest, size_bytes=size, seconds=answer.seconds))


def _copy(body: BinaryIO, file: IO[bytes], digest: str, limit: int) -> int:
    """Copy an answer, and answer its size in bytes.

    Raises:
        Refused: it is empty, longer than `limit`, or has another digest.
    """
    found, size = hashlib.sha256(), 0
    while chunk := body.read(storage.CHUNK_BYTES):
        size += len(chunk)
        if size > limit:
            raise Refused("The answer is larger than any right one.")
        found.update(chunk)
        file.write(chunk)
    if not size:
        raise Refused("The answer is empty.")
    if found.hexdigest() != digest:
        raise Refused("The answer does not have the SHA-256 that came with it; send it again.")
    return size


def _keep(machine: Worker, received: Mapping[UUID, _Received]) -> Collection[UUID]:
    """Write down what was received, where its assignment lives still. Answers the assignments whose answer is in.

    The files are kept once they are known to be wanted: a late answer, which may have the digest of the right one,
    leaves nothing behind that somebody would have to tidy up.

    Raises:
        NoRoom: the disk is full, and none of them is in.
    """

    def keep(taken: Collection[UUID]) -> None:
        storage.keep_all((received[pk].file, "results", received[pk].result.sha256) for pk in taken)

    with storage.refused_when_full():
        storage.flush_all([each.file for each in received.values()])  # it takes a while, and no lock is held yet
        return write_results(machine, {pk: each.result for pk, each in received.items()}, keep)


def write_results(
    machine: Worker, results: Mapping[UUID, Result], keep: Callable[[Collection[UUID]], None] = lambda taken: None
) -> Collection[UUID]:
    """Write the results of those assignments that are started and live, and have them checked. Answers which."""
    if not results:
        return []
    with transaction.atomic():
        found, now = live.lock_all(machine, results)
        taken = {pk: each for pk, each in found.items() if live.is_live(each, now, AssignmentState.STARTED)}
        if taken:
            keep(taken)
            for pk, assignment in taken.items():
                results[pk].assignment = assignment
            _complete([results[pk] for pk in taken])
    for assignment in taken.values():
        with about(assignment.job, assignment):
            logger.info("Assignment %s is answered by %s.", assignment.pk, assignment.worker_id)
    return taken


def _complete(results: Sequence[Result]) -> None:
    done = [result.assignment for result in results]
    state = AssignmentState.SUBMITTED.value
    Assignment.objects.filter(pk__among=[each.pk for each in done]).update(state=state, progress=1.0)
    Job.objects.filter(pk__among=[each.job_id for each in done]).update(state=JobState.COMPLETED.value)
    insert_all(results, read_back=False)
    record_all(
        Event(
            kind="job.completed",
            actor=result.assignment.worker.name,
            job_id=result.assignment.job_id,
            assignment_id=result.assignment.pk,
            worker_id=result.assignment.worker_id,
            before=result.assignment.job.state,
            after=JobState.COMPLETED.value,
            reason=result.claim,
        )
        for result in results
    )
    notifications.changed("jobs", "workers")
    large = [str(result.assignment_id) for result in results if not is_small(result)]
    if len(large) < len(results):
        dispatch.verify_waiting()
    for assignment in large:
        dispatch.verify(assignment)
    dispatch.wake_for_a_free_worker()
