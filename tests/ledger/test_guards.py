"""What the audit finds where the guards were out of the way: by DDL, or by a hand that had dropped them."""

import pytest
from django.db import connection

from marketplace.actions.audit import audit
from marketplace.models import Account, Contributor, Job, ReputationChange, Worker, guards
from tests import factories as make

pytestmark = pytest.mark.django_db


def test_a_guard_that_is_gone_is_noticed():
    with connection.cursor() as cursor:
        on = " ON marketplace_event" if connection.vendor == "postgresql" else ""
        cursor.execute(f"DROP TRIGGER cn_event_delete{on}")
    assert guards.differences() == ["The database's guard trigger cn_event_delete is missing."]
    assert not audit().ok
    guards.drop()
    guards.create()


def test_a_guard_that_was_made_to_do_nothing_is_noticed():
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("DROP TRIGGER cn_event_delete ON marketplace_event")
            cursor.execute(
                "CREATE TRIGGER cn_event_delete BEFORE DELETE ON marketplace_event "
                "FOR EACH ROW WHEN (false) EXECUTE FUNCTION cn_refuse('an event is never deleted')"
            )
        else:
            cursor.execute("DROP TRIGGER cn_event_delete")
            cursor.execute("CREATE TRIGGER cn_event_delete BEFORE DELETE ON marketplace_event BEGIN SELECT 1; END")
    assert guards.differences() == ["The database's guard trigger cn_event_delete is not the one in marketplace/sql."]
    guards.drop()
    guards.create()


def test_a_guard_that_is_switched_off_is_noticed():
    if connection.vendor != "postgresql":
        pytest.skip("SQLite switches no trigger off")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE marketplace_event DISABLE TRIGGER cn_event_delete")
        assert len(guards.differences()) == 1
        cursor.execute("ALTER TABLE marketplace_event ENABLE TRIGGER cn_event_delete")


def test_a_trigger_that_is_none_of_ours_is_noticed():
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("CREATE TRIGGER backdoor BEFORE INSERT ON marketplace_transfer "
                           "FOR EACH ROW EXECUTE FUNCTION cn_transfer_insert()")  # fmt: skip
        else:
            cursor.execute("CREATE TRIGGER backdoor AFTER INSERT ON marketplace_transfer BEGIN SELECT 1; END")
        assert guards.differences() == ["The database's trigger backdoor is none of ours."]
        cursor.execute("DROP TRIGGER backdoor" + (" ON marketplace_transfer" * (connection.vendor == "postgresql")))


def test_a_constraint_that_was_written_out_of_the_schema_is_noticed():
    if connection.vendor == "postgresql":
        check = "CHECK (balance >= 0 OR kind = 'issuance')"
        undo = f'ALTER TABLE marketplace_account ADD CONSTRAINT "account_not_overdrawn" {check}'
        statements = ['ALTER TABLE marketplace_account DROP CONSTRAINT "account_not_overdrawn"']
    else:
        write = "UPDATE sqlite_master SET sql = replace(sql, '{}', '{}') WHERE name = 'marketplace_account'"
        name, other = 'CONSTRAINT "account_not_overdrawn"', 'CONSTRAINT "account_maybe_overdrawn"'
        statements, undo = ["PRAGMA writable_schema = ON", write.format(name, other)], write.format(other, name)
    connection.check_constraints()
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        assert guards.differences() == ["The database's constraint account_not_overdrawn is missing."]
        cursor.execute(undo)
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA writable_schema = OFF")


def some_work() -> None:
    make.make_client()
    make.make_worker()
    make.run_to_end(make.make_job())
    make.start(make.assign(make.make_job(data=make.rows())))
    make.make_worker("other")


BY_HAND = {
    "a balance": (lambda: Account.objects.filter(name="alice").update(balance=7), "Account wallet alice holds 7"),
    "money from nowhere": (lambda: Account.objects.filter(name="alice").update(balance=7), "should be zero"),
    "a reputation": (
        lambda: Contributor.objects.filter(name="rtx4090").update(reputation=99),
        "reputation of rtx4090 is 99, which no change",
    ),
    "a change of reputation": (
        lambda: ReputationChange.objects.create(
            contributor=Contributor.objects.get(name="rtx4090"), before=50, after=100, reason="x", actor="x"
        ),
        "does not begin where the one before it ended",
    ),
    "a record": (
        lambda: Contributor.objects.filter(name="rtx4090").update(verified=400),
        "counts 400 right and 0 wrong answers",
    ),
    "a loan": (lambda: Worker.objects.update(lent=30), "owes 30 micro-tokens of a loan; its transfers leave 0"),
    "a running job": (
        lambda: Job.objects.filter(state="computing").update(state="pending", worker=None),
        "is live, and its job",
    ),
    "a job's state": (lambda: Job.objects.filter(state="computing").update(attempt=2), "is live, and its job"),
    "a job's worker": (
        lambda: Job.objects.filter(state="computing").update(worker=Worker.objects.get(name="other")),
        "is computing, and no worker has it",
    ),
}


@pytest.mark.parametrize("what", BY_HAND)
def test_the_audit_finds_a_hand_that_changed(what):
    some_work()
    change, sentence = BY_HAND[what]
    before = [list(rows.values()) for rows in (Account.objects, Contributor.objects, Worker.objects, Job.objects)]
    assert audit().ok
    with make.without_guards():
        change()
        found = audit().problems
        assert any(sentence in problem for problem in found), found
        ReputationChange.objects.filter(actor="x").delete()
        for rows, saved in zip(
            (Account.objects, Contributor.objects, Worker.objects, Job.objects), before, strict=True
        ):
            for row in saved:
                rows.filter(pk=row["id"]).update(**{name: value for name, value in row.items() if name != "id"})
