"""Submissions on one dataset go side by side, and none of them loses its data to a deletion at the same time."""

import io
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections, transaction

from marketplace.actions import datasets, deletion, jobs
from marketplace.actions.submissions import Submission
from marketplace.domain.errors import Conflict, NotFound, Refused
from marketplace.models import Dataset, Job
from tests import factories as make

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


def test_a_submission_waits_for_a_deletion_and_is_refused(dataset: Dataset) -> None:
    with transaction.atomic():
        deletion.purge(deletion.lock_data(dataset.pk), actor="olga")
        thread, said = beside(lambda: submit("bob", dataset))
        thread.join(0.5)
        assert thread.is_alive()
    thread.join(PATIENCE_SECONDS)
    assert isinstance(said[0], NotFound) and "deleted" in str(said[0])
    assert not Job.objects.exists()
