"""A machine that asks for a matrix in the instant in which it may not receive it any more."""

import io
import threading
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections

from marketplace.actions import assignments, audiences, copies, datasets, jobs
from marketplace.domain.errors import NotFound
from marketplace.models import MatrixCopy
from tests import factories
from tests.dashboard import cast
from tests.privacy.test_receivers import TABLE, asked


def test_a_copy_that_is_asked_for_while_its_machine_is_taken_out_is_not_given(
    committed_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With real commits: who calls copies back has looked, and has not committed, when the machine asks."""
    cast.a_client("carols_lab", user := User.objects.create_user("carol"))
    sha256 = datasets.store_upload(stream=io.BytesIO(TABLE), filename="confidential.csv", user=user).pk
    machine = factories.make_worker("inside")
    audiences.change_pool(name="lab", add=["inside"], actor="olga")
    job = jobs.submit(submission=asked(sha256, receivers={"pools": ["lab"]}), user=user)
    factories.start(factories.assign(job))
    call_back, answers = copies.call_back_outside, list[str]()

    def asks() -> None:
        try:
            assignments.readable_matrix(machine=machine, sha256=job.data.matrix_sha256)
            answers.append("given")
        except NotFound:
            answers.append("refused")
        finally:
            connections.close_all()

    def called_back(**given: Any) -> int:
        found = call_back(**given)
        thread.start()
        thread.join(0.3)  # it waits for this transaction; or it is done by now, and too late to be called back
        return found

    thread = threading.Thread(target=asks)
    monkeypatch.setattr(copies, "call_back_outside", called_back)
    audiences.change_pool(name="lab", remove=["inside"], actor="olga")
    thread.join(30)
    assert answers == ["refused"] and not MatrixCopy.objects.exists()
