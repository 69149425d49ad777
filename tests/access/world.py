"""A network outside the sandbox with Alice, who owns one of everything, and everybody else who may come to her doors.

Alice is client and contributor: a verified job, a pending one, one in her worker's hands, a dataset, keys, wallets.
Bob is client and contributor too, and has none of hers. Olga operates.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from allauth.account.models import EmailAddress
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client as Browser

from marketplace.actions import (
    coordination,
    datasets,
    grants,
    invitations,
    jobs,
    keys,
    minting,
    tokens,
    uploads,
    workers,
)
from marketplace.actions.submissions import Submission
from marketplace.domain.access import Scope
from marketplace.models import Account, Assignment, Job, Network, Worker, database_now
from tests import factories
from tests.api.machine import Machine
from tests.dashboard import cast

PERSONAS = ("nobody", "another client", "another's machine", "read-only key", "owner", "operator", "its machine")
PASSWORD = "correct horse battery"
TABLE = b"a,b,c\n1,2,3\n2,3,5\n3,5,8\n5,8,13\n8,13,22\n"


@dataclass
class World:
    alice: User
    bob: User
    olga: User
    verified: Job
    pending: Job
    live: Assignment  # in the hands of Alice's machine
    accepted: Assignment
    rejected: Assignment
    dataset: str
    upload: UUID
    her_key: keys.MadeKey
    grant: int
    invitation: str
    senders: dict[str, dict[str, Any]]  # what each persona's requests carry
    secrets: list[str]  # everything that opens a door


def build(settings: Any) -> World:
    """Made inside the sandbox, where wallets fill; then the door is shut, until the fixture `settings` ends."""
    settings.SANDBOX = True
    alice, bob, olga = cast.alice(), cast.bob(), cast.olga()
    cast.a_client("alices_lab", alice)
    cast.a_client("bobs_lab", bob)
    her_gpu, his_gpu = _gpu("alices_gpu", alice), _gpu("bobs_gpu", bob)
    hers, his = Machine(her_gpu), Machine(his_gpu)
    Worker.objects.filter(name="bobs_gpu").update(draining=True)  # Alice's takes her jobs
    dataset = _upload(alice).sha256
    rejected = _attempt(_submit(alice, dataset), factories.wrong_answer)
    jobs.cancel(job_id=rejected.job_id, user=alice, actor="client")
    verified = _submit(alice, dataset)
    accepted = _attempt(verified, factories.right_answer)
    verified.refresh_from_db()
    live_job = _submit(alice, dataset)
    coordination.assign_pending()
    live = Assignment.objects.select_related("worker", "job__dataset").get(job=live_job)
    factories.start(live)
    Assignment.objects.filter(pk=live.pk).update(lease_expires_at=live.created_at + timedelta(hours=1))
    pending = _submit(alice, dataset)
    minting.mint(amount=1000, reason="for grants and loans", actor="olga")
    EmailAddress.objects.create(user=alice, email="alice@example.org", verified=True, primary=True)
    grant = grants.make_grant(to="alices_lab", amount=5, period="monthly", actor="olga").pk
    her_key = keys.make_key(user=alice, name="hers", scopes=["read", "submit", "contribute"])
    read_only = keys.make_key(user=alice, name="looks", scopes=["read"])
    operators = keys.make_key(user=olga, name="hers", scopes=[scope.value for scope in Scope])
    invitation = invitations.invite(roles=["client"], actor="olga").code
    tokens.approve(
        owner=Account.objects.get(kind="wallet", name="alices_lab"), spender="alice", amount=50, actor="alice"
    )
    settings.SANDBOX = False
    senders = {
        "nobody": {},
        "another client": {"user": bob},
        "another's machine": {"headers": his.headers},
        "read-only key": {"headers": {"Authorization": f"Bearer {read_only.secret}"}},
        "owner": {"user": alice},
        "operator": {"user": olga},
        "its machine": {"headers": hers.headers},
    }
    secrets = [made.secret for made in (her_key, read_only, operators)]
    secrets += [invitation, her_gpu, his_gpu, hers.reply["secret"], his.reply["secret"], PASSWORD]
    upload = uploads.create(filename="large.csv", size_bytes=1, sha256="b" * 64, user=alice).pk
    things = (verified, pending, live, accepted, rejected, dataset, upload, her_key, grant, invitation)
    Network.objects.update(last_cycle_at=database_now())  # the network is at work
    return World(alice, bob, olga, *things, senders, secrets)


def _gpu(name: str, user: User) -> str:
    made = workers.register_worker(name=name, gpu_type="RTX 4090", compute_capacity=82.6, stake_amount=400, user=user)
    return made.enrolment_key


def _upload(user: User) -> Any:
    return datasets.store_upload(stream=SimpleUploadedFile("table.csv", TABLE), filename="hers.csv", user=user)


def _submit(user: User, dataset: str) -> Job:
    submission = Submission(client_address="alices_lab", model_type="linear_regression", reward=20, dataset=dataset)
    return jobs.submit(submission=submission, user=user)


def _attempt(job: Job, answer: Any) -> Assignment:
    assignment = factories.assign(job)
    factories.start(assignment)
    factories.submit_answer(assignment, answer(job))
    factories.verify(assignment)
    return assignment


def browser(sender: dict[str, Any]) -> Browser:
    """What a persona calls with: a log-in, or a header."""
    http = Browser(headers=sender.get("headers"))
    if "user" in sender:
        http.force_login(sender["user"], backend="django.contrib.auth.backends.ModelBackend")
    return http
