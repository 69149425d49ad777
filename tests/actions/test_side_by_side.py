"""What goes on at the same moment, in sessions of their own: who waits for whom, and who does not."""

import io
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections, transaction

from marketplace.actions import audiences, datasets, deletion, jobs, starts
from marketplace.actions.submissions import Submission
from marketplace.domain.errors import Conflict, NotFound, Refused
from marketplace.models import Assignment, Challenge, Dataset, DatasetOwner, Job, Worker, database_now
from tests import factories as make
from tests.dashboard import cast

TABLE = b"a,b\n" + b"1,2\n3,5\n5,9\n" * 8
PATIENCE_SECONDS = 30


@pytest.fixture
def dataset(committed_db: str) -> Dataset:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer")
    make.make_client("alice")
    make.make_client("bob")
    return datasets.store_upload(stream=io.BytesIO(TABLE), filename="t.csv", user=None)


def beside(act: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Begin `act` in a session of its own; what it answers, or the sentence that refuses it, comes into the list."""
    said: list[Any] = []

    def run() -> None:
        try:
            said.append(act())
        except Refused as refusal:
            said.append(refusal)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, said


def submit(client: str, dataset: Dataset) -> Job:
    return jobs.submit(
        submission=Submission(client_address=client, model_type="linear_regression", reward=1, dataset=dataset.pk),
        user=None,
    )


def test_a_submission_does_not_wait_for_another_on_the_same_dataset(dataset: Dataset) -> None:
    submit("alice", dataset)  # the first of all makes the class of such jobs
    with transaction.atomic():
        submit("alice", dataset)  # not committed yet
        thread, said = beside(lambda: submit("bob", dataset))
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive() and isinstance(said[0], Job)
    assert Job.objects.filter(dataset=dataset).count() == 3


def test_a_deletion_waits_for_a_submission_and_finds_its_job(dataset: Dataset) -> None:
    with transaction.atomic():
        submit("alice", dataset)
        thread, said = beside(lambda: deletion.delete_dataset(sha256=dataset.pk, user=None, actor="olga"))
        thread.join(0.5)
        assert thread.is_alive()
    thread.join(PATIENCE_SECONDS)
    assert isinstance(said[0], Conflict) and "open job" in str(said[0])
    dataset.refresh_from_db()
    assert dataset.deleted_at is None


def test_who_narrows_the_receivers_waits_for_a_submission_and_finds_its_job(dataset: Dataset) -> None:
    carol = User.objects.create_user("carol")
    cast.a_client("carols_lab", carol)
    DatasetOwner.objects.create(dataset=dataset, user=carol)
    audiences.change_pool(name="lab", add=[make.make_worker().name], actor="olga")
    asked = Submission(client_address="carols_lab", model_type="linear_regression", reward=1, dataset=dataset.pk)
    with transaction.atomic():
        jobs.submit(submission=asked, user=carol)
        thread, said = beside(lambda: audiences.restrict(sha256=dataset.pk, receivers={"pools": ["lab"]}, user=carol))
        thread.join(0.5)
        assert thread.is_alive()
    thread.join(PATIENCE_SECONDS)
    assert isinstance(said[0], Conflict) and "open job" in str(said[0])


def test_a_heartbeat_does_not_wait_for_an_assignment_that_changes_and_does_not_take_it_for_dead(
    dataset: Dataset,
) -> None:
    machine = make.make_worker("w0", slots=2)
    Worker.objects.filter(pk=make.make_worker("w1").pk).update(host=machine)
    Challenge.objects.all().delete()
    first, second = (make.assign(submit(client, dataset)) for client in ("alice", "bob"))
    starts.start_all(machine=machine, assignment_ids=[first.pk, second.pk])
    Assignment.objects.update(lease_expires_at=database_now() + timedelta(seconds=3))
    with transaction.atomic():
        Assignment.objects.select_for_update().get(pk=first.pk)
        thread, said = beside(lambda: make.beat(machine, first, second))
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive() and said[0]["cancel"] == []
    renewed = Assignment.objects.filter(lease_expires_at__gt=database_now() + timedelta(seconds=5))
    assert [each.pk for each in renewed] == [second.pk]
    assert make.beat(machine, first, second)["cancel"] == [] and renewed.all().count() == 2


def test_a_submission_waits_for_a_deletion_and_is_refused(dataset: Dataset) -> None:
    with transaction.atomic():
        deletion.purge(deletion.lock_data(dataset.pk), actor="olga")
        thread, said = beside(lambda: submit("bob", dataset))
        thread.join(0.5)
        assert thread.is_alive()
    thread.join(PATIENCE_SECONDS)
    assert isinstance(said[0], NotFound) and "deleted" in str(said[0])
    assert not Job.objects.exists()
