"""A hand at the SQL prompt: whatever it tries against the books, the database itself refuses."""

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction

from marketplace.actions import checkpoints, grants, invitations, keys, tokens
from marketplace.actions.audit import audit
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

pytestmark = pytest.mark.django_db

HOSTILE = {
    # accounts
    "give oneself money": "UPDATE marketplace_account SET balance = balance + 1000000 WHERE name = 'alice'",
    "take another's money": "UPDATE marketplace_account SET balance = 0 WHERE name = 'rtx4090'",
    "claim a transfer that was applied": "UPDATE marketplace_account SET balance = balance + 1000000000, "
    "last_transfer = last_transfer + 1 WHERE name = 'alice'",
    "apply the last transfer again": "UPDATE marketplace_account SET balance = balance - 50000000 WHERE name = 'alice'",
    "apply an older transfer again": "UPDATE marketplace_account SET balance = balance + 1000000000, last_transfer = "
    "(SELECT min(id) FROM marketplace_transfer WHERE destination_id = marketplace_account.id) WHERE name = 'alice'",
    "forget the last transfer": "UPDATE marketplace_account SET last_transfer = 0 WHERE name = 'alice'",
    "make a wallet an issuance": "UPDATE marketplace_account SET kind = 'issuance' WHERE name = 'alice'",
    "rename a wallet": "UPDATE marketplace_account SET name = 'mallory' WHERE name = 'alice'",
    "renumber a wallet": "UPDATE marketplace_account SET id = 999999 WHERE name = 'alice'",
    "open a full account": "INSERT INTO marketplace_account (kind, name, balance, last_transfer) "
    "VALUES ('wallet', 'mallory', 1000000, 0)",
    "open a second wallet of a name": "INSERT INTO marketplace_account (kind, name, balance, last_transfer) "
    "VALUES ('wallet', 'alice', 0, 0)",
    "open an account of no kind": "INSERT INTO marketplace_account (kind, name, balance, last_transfer) "
    "VALUES ('purse', 'mallory', 0, 0)",
    "delete an account": "DELETE FROM marketplace_account WHERE name = 'rtx4090'",
    # transfers
    "overdraw": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, idempotency_key) "
    "VALUES ({alice}, {worker}, 999999000000, 'transfer', 'x')",
    "move nothing": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, idempotency_key) "
    "VALUES ({alice}, {worker}, 0, 'transfer', 'x')",
    "move less than nothing": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, "
    "idempotency_key) VALUES ({alice}, {worker}, -5, 'transfer', 'x')",
    "move to oneself": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, idempotency_key) "
    "VALUES ({alice}, {alice}, 5, 'transfer', 'x')",
    "move for no known reason": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, "
    "idempotency_key) VALUES ({alice}, {worker}, 5, 'gift', 'x')",
    "mint out of a wallet": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, "
    "idempotency_key) VALUES ({alice}, {worker}, 5, 'mint', 'x')",
    "slash a wallet": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, idempotency_key) "
    "VALUES ({worker}, {alice}, 5, 'slash', 'x')",
    "use a key twice": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, idempotency_key) "
    "VALUES ({alice}, {worker}, 5, 'transfer', 'job:{verified}:capture')",
    "pay a job a second time": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, "
    "idempotency_key, job_id) VALUES ({open_escrow}, {worker}, 5, 'capture', 'x', '{verified_id}')",
    "empty an open job's escrow into the worker's wallet": "INSERT INTO marketplace_transfer (source_id, "
    "destination_id, amount, code, idempotency_key, job_id) "
    "VALUES ({open_escrow}, {worker}, 5, 'capture', 'x', '{open_id}')",
    "refund an open job to somebody else": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, "
    "code, idempotency_key, job_id) VALUES ({open_escrow}, {worker}, 5, 'void', 'x', '{open_id}')",
    "hold a second time": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, "
    "idempotency_key, job_id) VALUES ({alice}, {open_escrow}, 30000000, 'hold', 'x', '{open_id}')",
    "hold for no job": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, idempotency_key) "
    "VALUES ({alice}, {open_escrow}, 5, 'hold', 'x')",
    "move out of nowhere": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, "
    "idempotency_key) VALUES (999999, {worker}, 5, 'transfer', 'x')",
    "change an amount": "UPDATE marketplace_transfer SET amount = 1 WHERE code = 'capture'",
    "redirect a transfer": "UPDATE marketplace_transfer SET destination_id = {alice} WHERE code = 'capture'",
    "delete a transfer": "DELETE FROM marketplace_transfer WHERE code = 'capture'",
    "delete all transfers": "DELETE FROM marketplace_transfer",
    # jobs
    "verify an unpaid job": "UPDATE marketplace_job SET state = 'verified', ended_at = CURRENT_TIMESTAMP "
    "WHERE id = '{open_id}'",
    "end a job with escrow left": "UPDATE marketplace_job SET state = 'failed', ended_at = CURRENT_TIMESTAMP "
    "WHERE id = '{open_id}'",
    "complete a job that nobody computes": "UPDATE marketplace_job SET state = 'completed' WHERE id = '{open_id}'",
    "open an ended job again": "UPDATE marketplace_job SET state = 'pending', ended_at = NULL "
    "WHERE id = '{verified_id}'",
    "an unknown state": "UPDATE marketplace_job SET state = 'lost' WHERE id = '{open_id}'",
    "change a reward": "UPDATE marketplace_job SET reward = 1 WHERE id = '{open_id}'",
    "change who pays": "UPDATE marketplace_job SET client_id = client_id + 1 WHERE id = '{open_id}'",
    "change the data": "UPDATE marketplace_job SET seed = seed + 1 WHERE id = '{open_id}'",
    "more attempts": "UPDATE marketplace_job SET attempt = attempt + 1 WHERE id = '{open_id}'",
    "more attempts allowed": "UPDATE marketplace_job SET max_attempts = 99 WHERE id = '{open_id}'",
    "delete a job": "DELETE FROM marketplace_job WHERE id = '{open_id}'",
    # assignments, results, records
    "accept a dead assignment again": "UPDATE marketplace_assignment SET state = 'submitted'",
    "give an assignment to another job": "UPDATE marketplace_assignment SET fence = fence + 1",
    "delete an assignment": "DELETE FROM marketplace_assignment",
    "change an answer": "UPDATE marketplace_result SET sha256 = 'f'",
    "delete an answer": "DELETE FROM marketplace_result",
    "change a verdict": "UPDATE marketplace_verdict SET outcome = 'rejected'",
    "delete a verdict": "DELETE FROM marketplace_verdict",
    "redirect a client's refunds": "UPDATE marketplace_client SET wallet_id = {worker} WHERE address = 'alice'",
    "delete a client": "DELETE FROM marketplace_client",
    "delete a worker": "DELETE FROM marketplace_worker",
    "delete a contributor": "DELETE FROM marketplace_contributor",
    "redirect a contributor's earnings": "UPDATE marketplace_contributor SET wallet_id = {alice}",
    "give a worker another stake": "UPDATE marketplace_worker SET stake_id = {open_escrow}",
    "change a dataset": "UPDATE marketplace_dataset SET matrix_sha256 = 'f'",
    "delete a job's dataset": "DELETE FROM marketplace_dataset",
    "slash into a pocket": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, "
    "idempotency_key) VALUES ({stake}, {worker}, 5, 'slash', 'x')",
    "stake for another": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, "
    "idempotency_key) VALUES ({alice}, {stake}, 5, 'stake', 'x')",
    "change an event": "UPDATE marketplace_event SET actor = 'nobody'",
    "delete an event": "DELETE FROM marketplace_event",
    # the sealed log
    "change a leaf": "UPDATE marketplace_leaf SET content = '{{}}'",
    "renumber a leaf": "UPDATE marketplace_leaf SET number = number + 1000",
    "delete a leaf": "DELETE FROM marketplace_leaf",
    "leave a gap in the log": "INSERT INTO marketplace_leaf (number, kind, row_id, content, hash) "
    "SELECT 999999, kind, row_id, '{{}}', 'f' FROM marketplace_unsealed LIMIT 1",
    "seal what is not there": "INSERT INTO marketplace_leaf (number, kind, row_id, content, hash) "
    "SELECT count(*), 'transfer', 999999, '{{}}', 'f' FROM marketplace_leaf",
    "seal a row a second time": "INSERT INTO marketplace_unsealed (kind, row_id) "
    "SELECT kind, row_id FROM marketplace_leaf LIMIT 1",
    "have a row sealed that is not there": "INSERT INTO marketplace_unsealed (kind, row_id) VALUES ('event', 999999)",
    "have something else sealed": "INSERT INTO marketplace_unsealed (kind, row_id) VALUES ('job', 1)",
    "keep a row out of the log": "DELETE FROM marketplace_unsealed",
    "have another row sealed": "UPDATE marketplace_unsealed SET row_id = row_id + 1000",
    "change a salt": "UPDATE marketplace_leafsalt SET salt = 'f'",
    "change a node of the tree": "UPDATE marketplace_treenode SET hash = 'f'",
    "delete a node of the tree": "DELETE FROM marketplace_treenode",
    "change a checkpoint": "UPDATE marketplace_checkpoint SET root = 'f'",
    "delete a checkpoint": "DELETE FROM marketplace_checkpoint",
    "state what is to come": "INSERT INTO marketplace_checkpoint (size, root, created_at, public_key, signature) "
    "VALUES (999999, 'f', CURRENT_TIMESTAMP, 'f', 'f')",
    "state what was": "INSERT INTO marketplace_checkpoint (size, root, created_at, public_key, signature) "
    "VALUES (1, 'f', CURRENT_TIMESTAMP, 'f', 'f')",
    # access
    "open more with a key": "UPDATE marketplace_apikey SET scopes = '[\"operate\"]'",
    "raise a key's limit": "UPDATE marketplace_apikey SET spending_limit = 99000000",
    "lift a key's limit": "UPDATE marketplace_apikey SET spending_limit = NULL",
    "forget what a key spent": "UPDATE marketplace_apikey SET spent = 0",
    "spend more than a key may": "UPDATE marketplace_apikey SET spent = spending_limit + 1",
    "prolong a key": "UPDATE marketplace_apikey SET expires_at = '2999-01-01 00:00:00'",
    "open a revoked key again": "UPDATE marketplace_apikey SET revoked_at = NULL",
    "exchange a key's secret": "UPDATE marketplace_apikey SET sha256 = 'f'",
    "give more by an invitation": "UPDATE marketplace_invitation SET roles = '[\"operator\"]'",
    "use an invitation again": "UPDATE marketplace_invitation SET used_at = NULL",
    "raise a grant": "UPDATE marketplace_grant SET amount = amount + 1",
    "redirect a grant": "UPDATE marketplace_grant SET wallet_id = {worker}",
    "resume a stopped grant": "UPDATE marketplace_grant SET stopped_at = NULL",
    "delete a grant": "DELETE FROM marketplace_grant",
    "allow less than nothing": "UPDATE marketplace_allowance SET amount = -1",
    "allow oneself": "UPDATE marketplace_allowance SET spender_id = owner_id",
}
SQLITE_ONLY = {
    "overdraw and be ignored": "INSERT OR IGNORE INTO marketplace_transfer (source_id, destination_id, amount, code, "
    "idempotency_key) VALUES ({alice}, {worker}, 900000000000000, 'transfer', 'x')",
    "overdraw and fail": "INSERT OR FAIL INTO marketplace_transfer (source_id, destination_id, amount, code, "
    "idempotency_key) VALUES ({alice}, {worker}, 900000000000000, 'transfer', 'x')",
    "move half a micro-token": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, "
    "idempotency_key) VALUES ({alice}, {worker}, 1.5, 'transfer', 'x')",
    "replace an account": "INSERT OR REPLACE INTO marketplace_account (id, kind, name, balance, last_transfer) "
    "SELECT id, kind, name, 0, 0 FROM marketplace_account WHERE name = 'alice'",
    "replace a transfer": "INSERT OR REPLACE INTO marketplace_transfer (id, source_id, destination_id, amount, code, "
    "idempotency_key) SELECT id, source_id, destination_id, 1, code, 'x' FROM marketplace_transfer "
    "WHERE code = 'mint'",
    "replace a transfer by its key": "INSERT OR REPLACE INTO marketplace_transfer (source_id, destination_id, amount, "
    "code, idempotency_key) SELECT source_id, destination_id, 1, code, idempotency_key FROM marketplace_transfer "
    "WHERE code = 'mint'",
    "replace on update": "UPDATE OR REPLACE marketplace_account SET name = 'rtx4090' WHERE name = 'alice'",
    "replace an event": 'INSERT OR REPLACE INTO marketplace_event (id, kind, actor, "before", "after", reason) '
    "SELECT id, 'x', 'x', '', '', '' FROM marketplace_event",
    "replace a verdict": "INSERT OR REPLACE INTO marketplace_verdict SELECT * FROM marketplace_verdict",
    "replace an answer": "INSERT OR REPLACE INTO marketplace_result SELECT * FROM marketplace_result",
    "replace a leaf": "INSERT OR REPLACE INTO marketplace_leaf SELECT * FROM marketplace_leaf",
    "replace a salt": "INSERT OR REPLACE INTO marketplace_leafsalt SELECT * FROM marketplace_leafsalt",
    "replace a node of the tree": "INSERT OR REPLACE INTO marketplace_treenode SELECT * FROM marketplace_treenode",
    "replace a checkpoint": "INSERT OR REPLACE INTO marketplace_checkpoint SELECT * FROM marketplace_checkpoint",
    "replace what is to be sealed": "INSERT OR REPLACE INTO marketplace_unsealed SELECT * FROM marketplace_unsealed",
    "replace a job": "INSERT OR REPLACE INTO marketplace_job SELECT * FROM marketplace_job",
}
POSTGRESQL_ONLY = {
    "truncate transfers": "TRUNCATE marketplace_transfer CASCADE",
    "truncate accounts": "TRUNCATE marketplace_account CASCADE",
    "truncate events": "TRUNCATE marketplace_event CASCADE",
    "truncate leaves": "TRUNCATE marketplace_leaf CASCADE",
    "truncate what is to be sealed": "TRUNCATE marketplace_unsealed",
    "truncate the tree": "TRUNCATE marketplace_treenode",
    "truncate checkpoints": "TRUNCATE marketplace_checkpoint",
}


def give_access(worker: Worker) -> None:
    """A revoked key that has spent, a used invitation, a stopped grant and an allowance."""
    user = User.objects.create_superuser("olga")
    limited = keys.make_key(user=user, name="k", scopes=["submit"], spending_limit=50).key
    keys.spend(limited, 20_000_000)
    keys.revoke(key_id=limited.pk, user=user)
    invitations.accept(code=invitations.invite(roles=["client"], actor="olga").code, user=user)
    made = grants.make_grant(to="alice", amount=5, period="monthly", actor="olga")
    grants.stop_grant(grant_id=made.pk, actor="olga")
    tokens.approve(owner=Account.objects.get(kind="wallet", name="alice"), spender="rtx4090", amount=5, actor="alice")


@pytest.fixture
def books(db) -> dict[str, str]:
    """Alice has paid a worker for one job, others wait with their rewards in escrow, and most of it is sealed."""
    make.make_client()
    worker = make.make_worker()
    verified = make.run_to_end(make.make_job())
    open_ = make.make_job(reward=30)
    give_access(worker)
    checkpoints.seal_and_sign()
    make.make_job(reward=20)  # which nobody has sealed yet
    connection.check_constraints()  # nothing of this is left pending, which would refuse a TRUNCATE by itself
    plain = connection.vendor == "sqlite"  # which keeps a UUID without its dashes
    return {
        "alice": str(Account.objects.get(kind="wallet", name="alice").pk),
        "worker": str(worker.contributor.wallet_id),
        "stake": str(worker.stake_id),
        "open_escrow": str(open_.escrow_id),
        "verified": str(verified.pk),
        "verified_id": verified.pk.hex if plain else str(verified.pk),
        "open_id": open_.pk.hex if plain else str(open_.pk),
    }


def snapshot() -> list[list[tuple]]:
    return [list(rows.order_by("pk").values_list()) for rows in (
        Account.objects, Transfer.objects, Job.objects, Assignment.objects, Event.objects, Verdict.objects,
        Leaf.objects, LeafSalt.objects, TreeNode.objects, Checkpoint.objects, Unsealed.objects,
    )]  # fmt: skip


def refuse(statement: str, books: dict[str, str]) -> None:
    before = snapshot()
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.format(**books))
        if cursor.rowcount == 0:
            pytest.fail("the statement met no row and shows nothing")
        connection.check_constraints()
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


def test_an_answer_that_nobody_checked_is_not_paid(books):
    job = Job.objects.get(pk=books["open_id"])
    make.start(make.assign(job))
    pay = (
        "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, "
        "idempotency_key, job_id) VALUES ({open_escrow}, {worker}, 30000000, 'capture', 'x', '{open_id}')"
    )
    refuse(pay, books)
    Job.objects.filter(pk=job.pk).update(state="completed")
    refuse(pay, books)
    refuse(pay.replace("30000000", "1"), books)
    Job.objects.filter(pk=job.pk).update(state="pending", worker=None)


def test_the_guards_are_those_of_the_file(db):
    assert guards.differences() == []


def test_a_guard_that_is_gone_or_changed_is_noticed(db):
    with connection.cursor() as cursor:
        on = " ON marketplace_event" if connection.vendor == "postgresql" else ""
        cursor.execute(f"DROP TRIGGER cn_event_delete{on}")
    found = guards.differences()
    assert len(found) == 1
    assert "cn_event_delete" in found[0]
    assert not audit().ok
    guards.drop()
    guards.create()


def test_the_audit_finds_what_a_hand_without_guards_has_done(books):
    guards.drop()
    alice = Account.objects.get(name="alice", kind="wallet")
    Account.objects.filter(pk=alice.pk).update(balance=7)
    problems = audit().problems
    assert any("Account wallet alice holds 7" in problem for problem in problems)
    assert any("should be zero" in problem for problem in problems)
    Account.objects.filter(pk=alice.pk).update(balance=alice.balance)
    guards.create()
