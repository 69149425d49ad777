"""Who plays in the dashboard's tests, and jobs in every state, each brought there by the actions themselves.

Alice owns her clients and workers, Bob has some of his own, Olga operates.
"""

from typing import Any

from django.contrib.auth.models import Group, User
from django.db import transaction

from marketplace.actions import clients, coordination, endings, jobs, workers
from marketplace.models import Assignment, Client, Job, Worker, database_now
from tests import factories
from workers.protocol import PROTOCOL_VERSION

STATES = ("pending", "assigned", "computing", "completed", "verified", "failed", "cancelled")
WORDS = {"completed": "being checked"}


def a_user(name: str, *, roles: tuple[str, ...] = ("client", "contributor"), **kwargs: Any) -> User:
    user = User.objects.create_user(name, password="correct horse battery", **kwargs)
    user.groups.set(Group.objects.filter(name__in=roles))
    return user


def alice() -> User:
    return a_user("alice")


def bob() -> User:
    return a_user("bob")


def olga() -> User:
    return a_user("olga", is_staff=True, is_superuser=True)


def a_client(address: str = "alice", user: User | None = None, balance: float = 1000) -> Client:
    return clients.register_client(address=address, initial_balance=balance, user=user)


def a_worker(name: str = "worker_1", user: User | None = None, **columns: Any) -> Worker:
    """A worker whose machine is enrolled and has just been heard."""
    worker = workers.register_worker(
        name=name, gpu_type="RTX 4090", compute_capacity=82.6, stake_amount=150, user=user
    ).worker
    now = database_now()
    fields = {"enrolled_at": now, "last_heartbeat_at": now, "host": None, "queue": f"gpu.rtx-4090.{worker.pk}"}
    fields["protocol"] = PROTOCOL_VERSION
    Worker.objects.filter(pk=worker.pk).update(**{**fields, **columns})
    worker.refresh_from_db()
    return worker


def a_job(client: Client, state: str = "pending", model_type: str = "linear_regression", **params: Any) -> Job:
    """A job in `state`. From "assigned" on it takes a worker that is free; there must be one."""
    submission = jobs.Submission(client_address=client.address, model_type=model_type, reward=50, params=params)
    job = jobs.submit(submission=submission, user=client.user)
    if state == "cancelled":
        return jobs.cancel(job_id=job.pk, user=client.user, actor=client.address)
    if state == "failed":
        with transaction.atomic():
            endings.fail_past_deadline(job)
    elif state != "pending":
        assert coordination.trigger(actor="tests") == 1
        bring_to(job, state)
    job.refresh_from_db()
    assert job.state == state
    return job


def bring_to(job: Job, state: str) -> None:
    assignment = attempt_of(job)
    if state == "assigned":
        return
    factories.start(assignment)
    if state == "computing":
        return
    factories.submit_answer(assignment, factories.right_answer(job))
    if state == "verified":
        factories.verify(assignment)


def attempt_of(job: Job) -> Assignment:
    return Assignment.objects.select_related("worker__host", "job__dataset").get(job=job)


def a_rejected_job(client: Client) -> Job:
    """A job whose first answer was wrong: its worker is slashed, and it waits for another."""
    job = a_job(client)
    be_wrong_about(job)
    return job


def be_wrong_about(job: Job) -> None:
    """One more attempt, by a worker that is free, that brings a wrong answer."""
    assignment = factories.assign(job)
    factories.start(assignment)
    factories.submit_answer(assignment, factories.wrong_answer(job))
    assert factories.verify(assignment) == "rejected"
    job.refresh_from_db()
    assert job.state == "pending"


def jobs_in_every_state(client: Client) -> dict[str, Job]:
    """One of each, the pending one last: a cycle for another would take it along."""
    made = {}
    for state in STATES[1:]:
        if state in ("assigned", "computing", "completed", "verified"):
            a_worker(f"worker_{state}")
        made[state] = a_job(client, state)
    return made | {"pending": a_job(client)}
