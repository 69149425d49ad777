"""A hand at the SQL prompt: whatever it tries against the books, the database itself refuses.

Before a round of migrations, after a migration that alters every guarded table, and after its way back.
"""

import uuid
from dataclasses import replace

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test import override_settings

from marketplace.actions import (
    checkpoints,
    contests,
    coordination,
    grants,
    invitations,
    jobs,
    keys,
    payouts,
    stakes,
    tokens,
    workers,
)
from marketplace.actions.minting import mint
from marketplace.actions.once import once
from marketplace.models import (
    Account,
    Assignment,
    Checkpoint,
    Event,
    Job,
    Leaf,
    LeafSalt,
    Transfer,
    TreeNode,
    Unsealed,
    Verdict,
    Worker,
    guards,
)
from tests import factories as make
from tests.ledger.hostile import HOSTILE, POSTGRESQL_ONLY, SQLITE_ONLY

LATER = {"marketplace": "tests.ledger.later"}
LAST = max(path.stem for path in (settings.BASE_DIR / "marketplace" / "migrations").glob("0*.py"))
ROUNDS = {"before a migration": LAST, "after one": "9999_every_guarded_table", "after its way back": LAST}
PAY = (
    "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, idempotency_key, job_id) "
    "VALUES ({computing_escrow}, {worker}, {amount}, 'capture', 'x', '{computing_id}')"
)


def give_access() -> None:
    """A revoked key that has spent, a used invitation, a stopped grant and an allowance."""
    user = User.objects.create_superuser("olga")
    limited = keys.make_key(user=user, name="k", scopes=["submit"], spending_limit=50).key
    keys.spend(limited, 20_000_000)
    keys.revoke(key_id=limited.pk, user=user)
    invitations.accept(code=invitations.invite(roles=["client"], actor="olga").code, user=user)
    made = grants.make_grant(to="alice", amount=5, period="monthly", actor="olga")
    grants.stop_grant(grant_id=made.pk, actor="olga")
    tokens.approve(owner=Account.objects.get(kind="wallet", name="alice"), spender="rtx4090", amount=5, actor="alice")


def have_standings() -> None:
    """A rejection that stands, a loan, stake that came out and stake on its way, and a verdict that was held."""
    make.make_worker("liar", stake=300)
    job = make.make_job()
    wrong = make.assign(job)
    make.start(wrong)
    make.submit_answer(wrong, make.wrong_answer(job))
    make.verify(wrong)
    made = contests.contest(worker_name="liar", assignment_id=wrong.pk, note="It was right.", user=None)
    contests.uphold(contest_id=made.pk, actor="olga")
    jobs.cancel(job_id=job.pk, user=None, actor="alice")
    mint(amount=500, reason="to lend", actor="olga")
    workers.invite_worker(
        name="lent", gpu_type="A100", compute_capacity=19.5, lend=100, contributor_user=None, actor="olga"
    )
    with override_settings(POLICY=replace(settings.POLICY, unbonding_seconds=0)):
        stakes.unstake(name="liar", amount=20, user=None)
        assert stakes.release_due() == 1
    stakes.unstake(name="liar", amount=20, user=None)
    Worker.objects.filter(name="liar").update(draining=True)
    payouts.freeze(actor="olga", reason="x")
    make.run_to_end(make.make_job())
    payouts.thaw(actor="olga")
    coordination.run_cycle(assign=False)


@pytest.fixture(scope="module")
def written(modules_committed_db) -> dict[str, str]:
    """Books with something of everything in them, most of it sealed. Answers what the statements name."""
    make.make_client()
    worker = make.make_worker()
    verified = make.run_to_end(make.make_job())
    have_standings()
    give_access()
    checkpoints.seal_and_sign()
    completed, computing, assigned = (make.make_job(reward=5) for _ in range(3))
    for name in ("second", "third"):
        make.make_worker(name)
    coordination.assign_pending()
    for job in (completed, computing):
        make.start(job.assignments.get())
    make.submit_answer(completed.assignments.get(), make.right_answer(completed))
    submission = jobs.Submission(client_address="alice", model_type="linear_regression", reward=30)
    open_ = jobs.submit(submission=submission, user=None)
    once(user=None, key="k", request=b"r", act=lambda: b"a")
    rows = {"verified": verified, "open": open_, "computing": computing, "completed": completed, "assigned": assigned}
    rows |= {"cancelled": Job.objects.get(state="cancelled"), "other": Worker.objects.get(name="liar")}
    plain = connection.vendor == "sqlite"  # which keeps a UUID without its dashes
    return {
        "alice": str(Account.objects.get(kind="wallet", name="alice").pk),
        "worker": str(worker.contributor.wallet_id),
        "stake": str(worker.stake_id),
        "open_escrow": str(open_.escrow_id),
        "computing_escrow": str(computing.escrow_id),
        "verified": str(verified.pk),
        "new_id": uuid.uuid4().hex,
        **{f"{name}_id": row.pk.hex if plain else str(row.pk) for name, row in rows.items()},
    }


@pytest.fixture(scope="module", params=ROUNDS)
def books(request: pytest.FixtureRequest, written: dict[str, str]) -> dict[str, str]:
    with override_settings(MIGRATION_MODULES=LATER):
        call_command("migrate", "marketplace", ROUNDS[request.param], verbosity=0)
    return written


def snapshot() -> list[list[tuple]]:
    return [list(rows.order_by("pk").values_list()) for rows in (
        Account.objects, Transfer.objects, Job.objects, Assignment.objects, Event.objects, Verdict.objects,
        Leaf.objects, LeafSalt.objects, TreeNode.objects, Checkpoint.objects, Unsealed.objects,
    )]  # fmt: skip


def refuse(statement: str, books: dict[str, str]) -> None:
    before = snapshot()
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.format(**books))
        met = cursor.rowcount
        connection.check_constraints()
        transaction.set_rollback(True)  # or the next statement meets what this one did
        if met == 0:
            pytest.fail("the statement met no row and shows nothing")
    assert snapshot() == before


@pytest.mark.parametrize("attempt", HOSTILE)
def test_the_database_refuses_to(attempt, books):
    refuse(HOSTILE[attempt], books)


@pytest.mark.parametrize("attempt", SQLITE_ONLY)
def test_sqlite_refuses_to(attempt, books):
    if connection.vendor != "sqlite":
        pytest.skip("SQLite's own statements")
    refuse(SQLITE_ONLY[attempt], books)


@pytest.mark.parametrize("attempt", POSTGRESQL_ONLY)
def test_postgresql_refuses_to(attempt, books):
    if connection.vendor != "postgresql":
        pytest.skip("PostgreSQL's own statements")
    refuse(POSTGRESQL_ONLY[attempt], books)


@pytest.mark.parametrize("amount", ["5000000", "6000000", "900000000000000"])
def test_a_job_that_is_being_computed_is_not_paid_in_full(amount, books):
    refuse(PAY, books | {"amount": amount})


@pytest.mark.parametrize("amount", ["5000000", "1"])
def test_an_answer_that_nobody_checked_is_not_paid(amount, books):
    ids = {"computing_id": books["completed_id"], "amount": amount}
    escrow = str(Job.objects.get(state="completed").escrow_id)
    refuse(PAY, books | ids | {"computing_escrow": escrow})


def test_the_guards_are_those_of_the_file(books):
    assert guards.differences() == []
