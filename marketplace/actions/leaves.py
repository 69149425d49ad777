"""Rows in the canonical encoding of the sealed log: what is plain of them, and what is personal and so private."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from marketplace.domain.encoding import exact, moment
from marketplace.models import Compiled, Event, Job, Transfer, Verdict

Encoded = tuple[dict[str, Any], dict[str, Any] | None]  # what is plain, what is private
SUBMITTED = "job.submitted"
TRANSFER = ("source__kind", "destination__kind", *(field.name for field in Transfer._meta.fields))
ASKED = (
    *("model_type", "dataset", "params", "features", "target", "seed", "reward", "max_attempts", "deadline_at"),
    "matrix__recipe",
)
VERDICT = (
    *(field.name for field in Verdict._meta.fields),
    *("assignment__job", "assignment__fence", "assignment__worker", "assignment__result__sha256"),
)


_transfers = Compiled(
    lambda ids: Transfer.objects.select_related("source", "destination").only(*TRANSFER).filter(pk__among=ids), [int]
)
_events = Compiled(lambda ids: Event.objects.filter(pk__among=ids).order_by(), [int])
_jobs = Compiled(lambda ids: Job.objects.select_related("matrix").only(*ASKED).filter(pk__among=ids).order_by(), [UUID])
_verdicts = Compiled(
    lambda ids: Verdict.objects.select_related("assignment__result").only(*VERDICT).filter(pk__among=ids), [int]
)


def encode_rows(kind: str, rows: Collection[int]) -> dict[int, Encoded]:
    """The rows of a kind by their ids, encoded, in a query or two that read no more than is sealed."""
    if kind == "transfer":
        return {each.pk: (encode_transfer(each), None) for each in _transfers(rows)}
    if kind == "event":
        events = _events(rows)
        submitted = [each.job_id for each in events if each.kind == SUBMITTED and each.job_id]
        jobs = {each.pk: each for each in _jobs(submitted)}
        return {each.pk: encode_event(each, jobs.get(each.job_id) if each.job_id else None) for each in events}
    return {each.pk: encode_verdict(each) for each in _verdicts(rows)}


def encode_transfer(transfer: Transfer) -> dict[str, Any]:
    """Nothing of it is private: accounts go by their ids, and keys are made of ids."""
    return {
        "kind": "transfer",
        "id": transfer.pk,
        "code": transfer.code,
        "amount": transfer.amount,
        "from": {"account": transfer.source_id, "kind": transfer.source.kind},
        "to": {"account": transfer.destination_id, "kind": transfer.destination.kind},
        "job": _text(transfer.job_id),
        "key": transfer.idempotency_key,
        "at": moment(transfer.created_at),
    }


def encode_event(event: Event, job: Job | None) -> Encoded:
    """`job` is the event's, where that is its submission."""
    plain = {
        "kind": "event",
        "id": event.pk,
        "event": event.kind,
        "job": _text(event.job_id),
        "assignment": _text(event.assignment_id),
        "worker": _text(event.worker_id),
        "before": event.before,
        "after": event.after,
        "at": moment(event.created_at),
    }
    private: dict[str, Any] = {"actor": event.actor, "reason": event.reason}
    if event.kind == SUBMITTED and job:
        private["asked"] = _asked(job)
    return plain, private


def _asked(job: Job) -> dict[str, Any]:
    """What a job asks for; the database keeps all of it as it was."""
    asked = {
        "model_type": job.model_type,
        "dataset": job.dataset_id,
        "params": exact(job.params),
        "features": exact(job.features),
        "target": job.target,
        "seed": job.seed,
        "reward": job.reward,
        "max_attempts": job.max_attempts,
        "deadline_at": moment(job.deadline_at),
    }
    return asked if job.matrix is None else asked | {"recipe": _recipe(job.matrix.recipe)}


def _recipe(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe without the names in it, which go with the data: columns are counted, categories go by their places."""
    places = {name: place for place, name in enumerate(recipe["columns"])}
    return exact(recipe) | {
        "columns": len(places),
        "categories": [places[name] for name in recipe["categories"]],
        "target": recipe["target"] is not None,
    }


def encode_verdict(verdict: Verdict) -> Encoded:
    assignment = verdict.assignment
    plain = {
        "kind": "verdict",
        "id": verdict.pk,
        "job": _text(assignment.job_id),
        "assignment": _text(assignment.pk),
        "attempt": assignment.fence,
        "worker": _text(assignment.worker_id),
        "outcome": verdict.outcome,
        "method": verdict.method,
        "fault": verdict.fault,
        "error_chance": str(exact(verdict.error_chance)),
        "at": moment(verdict.created_at),
    }
    private = {
        "answer": assignment.result.sha256,
        "reason": verdict.reason,
        "bound": verdict.bound,
        "seed": verdict.seed,
        "detail": exact(verdict.detail),
        "measured": exact(verdict.measured),
        "tolerance": exact(verdict.tolerance),
        "seconds": exact(verdict.seconds),
    }
    return plain, private


def _text(key: Any) -> str | None:
    return None if key is None else str(key)
