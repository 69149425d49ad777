"""The audit holds the log against the rows: whatever a hand without guards changes in either is found."""

import io

import pytest
from django.db import connection

from marketplace.actions import checkpoints, datasets, deletion, jobs, leaves, log_audit, sealing
from marketplace.actions.audit import audit
from marketplace.models import Event, Leaf, Matrix, guards
from tests import factories as make


@pytest.fixture
def sealed(db):
    make.make_client()
    make.make_worker()
    make.run_to_end(make.make_job())
    checkpoints.seal_and_sign()
    make.make_job(reward=30)
    assert log_audit.problems() == []


CHANGES = {
    "UPDATE marketplace_transfer SET amount = amount + 1 WHERE code = 'mint'": "says now",
    "UPDATE marketplace_transfer SET idempotency_key = 'x' WHERE code = 'capture'": "says now",
    "UPDATE marketplace_event SET reason = 'another' WHERE kind = 'job.verified'": "says now",
    "UPDATE marketplace_event SET actor = 'nobody' WHERE kind = 'job.verified'": "says now",
    "UPDATE marketplace_verdict SET outcome = 'rejected'": "says now",
    "UPDATE marketplace_verdict SET bound = 'none'": "says now",
    "UPDATE marketplace_result SET sha256 = 'f'": "says now",
    "UPDATE marketplace_job SET seed = seed + 1 WHERE state = 'verified'": "says now",
    "UPDATE marketplace_leaf SET content = '{}' WHERE number = 3": "The hash of leaf 3 ",
    "UPDATE marketplace_leaf SET hash = 'f' WHERE number = 3": "The hash of leaf 3 ",
    "DELETE FROM marketplace_event WHERE kind = 'job.verified'": "which is not there",
    "DELETE FROM marketplace_leafsalt WHERE leaf_id = 5; DELETE FROM marketplace_leaf WHERE number = 5": "no leaf 5.",
    "UPDATE marketplace_treenode SET hash = 'f'": "kept nodes",
    "UPDATE marketplace_checkpoint SET root = 'f'": "The root of the checkpoint",
    "UPDATE marketplace_checkpoint SET signature = '00'": "The signature of the checkpoint",
    "UPDATE marketplace_checkpoint SET size = size + 99": "covers more than there are",
    "DELETE FROM marketplace_unsealed": "neither sealed nor wait",
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_audit_finds(change, sealed):
    guards.drop()
    with connection.cursor() as cursor:
        cursor.execute("SAVEPOINT hand")
        for statement in change.split("; "):
            cursor.execute(statement)
            assert cursor.rowcount > 0
    found = log_audit.problems()
    assert any(CHANGES[change] in problem for problem in found), found
    assert set(found) <= set(audit().problems)
    with connection.cursor() as cursor:
        cursor.execute("ROLLBACK TO SAVEPOINT hand")
    guards.create()


def test_a_recipe_is_sealed_without_names_and_stays_as_it_was_when_its_data_are_deleted(db):
    make.make_client()
    table = io.BytesIO(b"town,rooms,price\n" + b"Bonn,1,2\nAhlen,2,3\n" * 20)
    dataset = datasets.store_upload(stream=table, filename="flats.csv", user=None)
    job = make.make_job(dataset=dataset.pk, target="price", recipe={"missing": "mean", "holdout": 0.25})
    jobs.cancel(job_id=job.pk, user=None, actor="alice")
    checkpoints.seal_and_sign()
    deletion.delete_dataset(sha256=dataset.pk, user=None, actor="alice")
    assert log_audit.problems() == []
    submitted = Event.objects.get(kind="job.submitted")
    _, private = leaves.encode_event(submitted, job)
    assert private["asked"]["recipe"] == {
        "columns": 2, "categories": [0], "target": True, "missing": "mean", "standardise": False,
        "first_level": "drop", "holdout": "0.25", "seed": 0,
    }  # fmt: skip
    matrix = Matrix.objects.get()
    Matrix.objects.update(recipe=matrix.recipe | {"missing": "drop"})
    assert [problem.partition("does not say")[2] for problem in log_audit.problems()] == [
        f" what event {submitted.pk} says now: one of them was changed."
    ]
    Matrix.objects.update(recipe=matrix.recipe)


def test_who_is_forgotten_leaves_a_log_that_the_audit_accepts(sealed):
    rows = list(Event.objects.filter(kind="job.submitted", pk__in=Leaf.objects.filter(kind="event").values("row_id")))
    assert sealing.forget(kind="event", rows=[each.pk for each in rows]) == len(rows) == 1
    guards.drop()  # as an action that erases a person would have a way to
    Event.objects.filter(pk__in=[each.pk for each in rows]).update(actor="", reason="")
    guards.create()
    assert log_audit.problems() == []
    guards.drop()
    Event.objects.filter(pk=rows[0].pk).update(after="verified")
    assert "says now" in log_audit.problems()[0]
    Event.objects.filter(pk=rows[0].pk).update(after="pending")
    guards.create()
