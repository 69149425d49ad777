"""Small makers of what a test needs, through the real actions. Alice and Bob are clients; workers are named by GPU."""

import hashlib
import io
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from django.db import connection, transaction

from marketplace import storage
from marketplace.actions import (
    agenda,
    assignments,
    clients,
    coordination,
    heartbeats,
    jobs,
    ledger,
    settlement,
    standing,
    workers,
)
from marketplace.actions.submissions import Submission
from marketplace.domain.ledger import AccountKind, Code
from marketplace.domain.money import MICRO
from marketplace.models import Assignment, Client, Contributor, Job, Worker, database_now, guards
from marketplace.tables.arrays import save_archive
from marketplace.verification.check import Task, load
from workers.catalog import MODELS
from workers.catalog.backend import find_backend
from workers.catalog.base import no_progress
from workers.protocol import PROTOCOL_VERSION


def make_client(address: str = "alice", balance: float = 1000) -> Client:
    return clients.register_client(address=address, initial_balance=balance, user=None)


def make_worker(
    name: str = "rtx4090",
    gpu_type: str = "RTX 4090",
    capacity: float = 82.6,
    stake: float = 150,
    slots: int = 1,
    user: Any = None,
) -> Worker:
    """A worker whose machine is enrolled and has just been heard."""
    made = workers.register_worker(
        name=name, gpu_type=gpu_type, compute_capacity=capacity, stake_amount=stake, user=user
    )
    enrol(made.enrolment_key, gpu_type, slots)
    return Worker.objects.select_related("contributor__wallet", "stake").get(pk=made.worker.pk)


def enrol(
    key: str, gpu_type: str = "RTX 4090", slots: int = 1, machine: Worker | None = None, **more: Any
) -> dict[str, Any]:
    device = {"gpu_type": gpu_type, "name": gpu_type, "memory_bytes": 24 * 2**30, "backend": "numpy", "simulated": True}
    catalog = {name: model.version for name, model in MODELS.items()}
    return workers.enrol(
        machine=machine,
        request={
            "enrolment_key": key,
            "protocol": PROTOCOL_VERSION,
            "catalog": catalog,
            "device": device,
            "slots": slots,
            "hostname": "test",
            **more,
        },
    )


def make_job(client: str = "alice", model_type: str = "linear_regression", reward: float = 50, **more: Any) -> Job:
    submission = Submission(client_address=client, model_type=model_type, reward=reward, **more)
    return jobs.submit(submission=submission, user=None)


def assign(job: Job) -> Assignment:
    """Run the coordinator's assigning, and answer the job's live assignment."""
    coordination.assign_pending()
    return Assignment.objects.select_related("worker__host", "job__dataset").get(job=job, state="dispatched")


def start(assignment: Assignment) -> None:
    assignments.start(machine=assignment.worker.machine, assignment_id=assignment.pk)


def right_answer(job: Job) -> dict[str, np.ndarray]:
    """What an honest worker computes."""
    matrix = storage.path("matrices", job.data.matrix_sha256)
    X, y = load(Task(job.model_type, job.params, job.seed, matrix, job.fitted_columns, job.fitted_target))
    model = MODELS[job.model_type]
    return model.fit(X, y, job.params, job.seed, backend=find_backend("numpy"), progress=no_progress)


def submit_answer(assignment: Assignment, answer: dict[str, np.ndarray], fence: int | None = None) -> None:
    with storage.temporary() as file:
        save_archive(file, answer)
        file.seek(0)
        body = file.read()
    assignments.submit_result(
        machine=assignment.worker.machine,
        assignment_id=assignment.pk,
        fence=assignment.fence if fence is None else fence,
        digest=hashlib.sha256(body).hexdigest(),
        seconds=0.01,
        body=io.BytesIO(body),
    )


def is_due(kind: str) -> bool:
    """Would a cycle of the coordinator do this step now?"""
    return agenda.look(database_now(), None)[kind]


def verify(assignment: Assignment) -> str:
    return settlement.verify(assignment_id=assignment.pk)


def run_to_end(job: Job) -> Job:
    """The whole life of a job with honest workers: assigned, started, answered, checked."""
    assignment = assign(job)
    start(assignment)
    submit_answer(assignment, right_answer(job))
    verify(assignment)
    job.refresh_from_db()
    return job


def wrong_answer(job: Job) -> dict[str, np.ndarray]:
    """The right shapes with the wrong numbers."""
    return {name: array + 1 if array.dtype.kind == "f" else array for name, array in right_answer(job).items()}


def beat(worker: Worker, *named: Assignment) -> dict[str, Any]:
    """A heartbeat of the worker's machine that names some assignments."""
    worker.refresh_from_db()
    beats = [{"assignment": str(a.pk), "fence": a.fence, "progress": 0.5, "note": "half way"} for a in named]
    return heartbeats.heartbeat(
        machine=worker,
        request={"assignments": beats, "load": 0.5, "memory_free_bytes": None, "temperature_celsius": None},
    )


def rows(n: int = 60, d: int = 4, seed: int = 0) -> list[list[float]]:
    return np.random.default_rng(seed).normal(size=(n, d)).round(6).tolist()


def random_name() -> str:
    return f"n{secrets.token_hex(6)}"


def npz_into(path: Path, answer: dict[str, np.ndarray]) -> None:
    """Put another answer where one was stored."""
    path.chmod(0o600)
    with path.open("wb") as file:
        save_archive(file, answer)


@contextmanager
def without_guards() -> Iterator[None]:
    """For what only time would do, and no hand may: the guards are out of the way inside the block."""
    connection.check_constraints()  # what is pending would keep PostgreSQL from dropping a trigger
    guards.drop()
    yield
    guards.create()


def set_reputation(score: float) -> None:
    """Every contributor's reputation, with its reason."""
    for contributor in Contributor.objects.all():
        standing.move(contributor, score, reason="to begin with", actor="olga")


def lend(worker: Worker, tokens: float) -> None:
    """So much of what the worker has at stake is the treasury's from now on."""
    if not tokens:
        return
    micro, treasury = round(tokens * MICRO), ledger.treasury()
    with transaction.atomic():
        ledger.post(
            [
                ledger.Posting(ledger.issuance(), treasury, micro, Code.MINT, f"{worker.pk}:to lend"),
                ledger.Posting(worker.stake, treasury, micro, Code.SLASH, f"{worker.pk}:its own"),
                ledger.Posting(treasury, worker.stake, micro, Code.LEND, f"{worker.pk}:lent"),
            ]
        )
        Worker.objects.filter(pk=worker.pk).update(lent=worker.lent + micro)


def pay_back(worker: Worker, tokens: float | None = None) -> None:
    """So much of a loan, or all of it, goes back out of the stake; a mint makes up for it."""
    micro = worker.lent if tokens is None else round(tokens * MICRO)
    wallet, stake = worker.contributor.wallet, worker.stake
    with transaction.atomic():
        out = ledger.open_account(AccountKind.UNBONDING, worker.name)
        Worker.objects.filter(pk=worker.pk).update(unbonding=out)
        ledger.post(
            [
                ledger.Posting(stake, out, micro, Code.UNBOND, f"{worker.pk}:out"),
                ledger.Posting(out, ledger.treasury(), micro, Code.UNBOND, f"{worker.pk}:back"),
                ledger.Posting(ledger.issuance(), wallet, micro, Code.MINT, f"{worker.pk}:made up"),
                ledger.Posting(wallet, stake, micro, Code.STAKE, f"{worker.pk}:made up for"),
            ]
        )
        Worker.objects.filter(pk=worker.pk).update(lent=worker.lent - micro)
