"""Large tables: a job waits, with its reward held, while a task follows its recipe."""

import dataclasses
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.test import Client as Browser
from django.urls import reverse

from marketplace import broker, dispatch, storage
from marketplace.actions import coordination, deletion, jobs, making, matrices, reading, results, uploads
from marketplace.actions.quotes import quote
from marketplace.domain import pricing
from marketplace.domain.errors import Refused
from marketplace.models import Client, Job, Matrix, database_now
from tests import factories as make
from tests.actions.test_recipes import bring, design, flats

pytestmark = pytest.mark.django_db
RECIPE = {"missing": "drop", "standardise": True}


@pytest.fixture(autouse=True)
def few_cells_at_once(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MATRIX_AT_ONCE_CELLS = 100
    monkeypatch.setattr(broker, "waiting", lambda queue: 0)


def large(recipe: dict[str, Any] = RECIPE, *, text: str = "", **more: Any) -> Job:
    """A job on a table that is too large to be followed at once."""
    if not Client.objects.exists():
        make.make_client(balance=1000)
        make.make_worker(stake=1000)
    asked = {"target": "price"} if "model_type" not in more else {}
    return make.make_job(dataset=bring(text or flats()[0]).pk, recipe=recipe, **asked, **more)


def matrix_of(job: Job) -> Matrix:
    assert job.matrix_id is not None
    return Matrix.objects.get(pk=job.matrix_id)


def balance() -> float:
    return Client.objects.select_related("wallet").get().wallet.balance / 1e6


def test_a_job_waits_for_its_matrix_and_is_then_done_like_any_other(client: Browser) -> None:
    job = large()
    assert (job.state, job.features, job.preparing, balance()) == ("pending", [], 0.0, 950)
    assert coordination.run_cycle(assign=True).assigned == 0
    assert making.make(matrix_id=matrix_of(job).pk) == "ready"
    assert making.make(matrix_id=matrix_of(job).pk) == ""  # its message came twice
    job = Job.objects.get(pk=job.pk)
    assert (job.fitted_columns, job.fitted_target, job.preparing) == ([0, 1, 2, 3], 4, None)
    job = make.run_to_end(job)
    assert job.state == "verified", job.reason
    _, data = flats()
    X, y = design(data, ~data["gaps"]), data["price"][~data["gaps"]]
    exact, *_ = np.linalg.lstsq(np.column_stack([X, np.ones(len(X))]), y, rcond=None)
    found = results.read_result(job=job, limit=None)
    np.testing.assert_allclose([*found["coefficients"], found["intercept"]], exact, rtol=1e-6)
    receipt = client.get(f"/job/{job.pk}/receipt").json()
    assert (receipt["features"], receipt["target"], receipt["matrix"]["columns"]) == ([0, 1, 2, 3], 4, 5)
    assert "town=Bonn" in client.get(reverse("result", args=[job.pk])).content.decode()


def test_a_matrix_that_is_there_is_used_at_once_and_one_that_is_being_made_is_waited_for() -> None:
    first, second = large(), large()
    assert first.matrix_id == second.matrix_id and second.preparing == 0.0
    making.make(matrix_id=matrix_of(first).pk)
    assert [job.fitted_columns for job in Job.objects.all()] == [[0, 1, 2, 3]] * 2
    third = large()
    assert (third.matrix_id, third.features, third.preparing) == (first.matrix_id, [0, 1, 2, 3], None)


def test_a_job_whose_matrix_comes_to_be_while_it_is_submitted_has_its_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = matrix_of(large())
    write = matrices.Prepared.write
    monkeypatch.setattr(
        matrices.Prepared, "write", lambda *given: (write(*given), making.make(matrix_id=matrix.pk))
    )  # fmt: skip
    job = Job.objects.get(pk=large().pk)
    first = Job.objects.exclude(pk=job.pk).get()
    assert job.fitted_columns == [0, 1, 2, 3] and job.quoted_seconds == first.quoted_seconds


def test_what_the_dataset_rules_out_is_refused_when_it_is_submitted() -> None:
    with pytest.raises(Refused, match='Row 8 has no value in column "area": fill it'):
        large({})
    with pytest.raises(Refused, match='Column "b" has no value at all'):
        large({"missing": "mean"}, text="a,b,price\n" + "1,,2\n3,,5\n" * 40)
    assert balance() == 1000 and not Matrix.objects.exists()


def test_a_recipe_that_the_table_rules_out_fails_the_job_and_the_reward_goes_back() -> None:
    text = "town,price\n" + "".join(f"town {i},{i}\n" for i in range(1001))
    job = large({}, text=text)
    assert balance() == 950
    assert making.make(matrix_id=matrix_of(job).pk) == "failed"
    job = Job.objects.get(pk=job.pk)
    assert (job.state, job.fault, balance()) == ("failed", "job", 1000)
    assert job.reason.startswith('Column "town" has more than 1,000 different values')
    again = large({}, text=text)  # asked for again, it is tried again
    assert again.matrix_id == job.matrix_id and again.preparing == 0.0
    assert making.make(matrix_id=matrix_of(again).pk) == "failed" and balance() == 1000
    assert deletion.delete_dataset(sha256=job.dataset_id, user=None, actor="client")
    assert Job.objects.get(pk=job.pk).matrix.recipe["columns"] == ["column 1"]


def test_a_job_that_the_matrix_does_not_suit_fails_and_the_others_go_on() -> None:
    many = large({"missing": "drop"}, model_type="pca_analysis", params={"n_components": 7})
    few = large({"missing": "drop"}, model_type="pca_analysis", params={"n_components": 2})
    assert many.matrix_id == few.matrix_id
    assert making.make(matrix_id=matrix_of(many).pk) == "ready"
    many, few = Job.objects.get(pk=many.pk), Job.objects.get(pk=few.pk)
    assert (many.state, many.fault) == ("failed", "job") and "n_components must be at most 6" in many.reason
    assert (few.state, few.fitted_columns, balance()) == ("pending", [0, 1, 2, 3, 4, 5], 950)


def test_a_maker_that_was_killed_is_followed_by_another_after_its_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, sent = matrix_of(large()), list[int]()
    monkeypatch.setattr(dispatch, "make_matrix_now", lambda pk: bool(sent.append(pk)) or True)
    with monkeypatch.context() as killed:
        killed.setattr(matrices, "write", lambda *given: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            making.make(matrix_id=matrix.pk)
    assert matrix_of(Job.objects.get()).progress > 0.3
    assert making.make(matrix_id=matrix.pk) == "" and making.send_waiting() == 0  # its lease still runs
    Matrix.objects.update(lease_expires_at=database_now() - timedelta(seconds=1))
    assert make.is_due("matrices") and making.send_waiting() == 1 and sent == [matrix.pk]
    assert making.make(matrix_id=matrix.pk) == "ready"
    incoming = storage.path("matrices", "aa").parents[2] / "incoming"
    assert list(incoming.iterdir()) == []


def test_what_breaks_three_times_fails_the_job_and_is_laid_to_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    job = large()
    monkeypatch.setattr(matrices, "survey", lambda *given: 1 / 0)
    for state in ("making", "making", "failed"):
        Matrix.objects.update(lease_expires_at=None)
        assert making.make(matrix_id=matrix_of(job).pk) == state
    job = Job.objects.get(pk=job.pk)
    assert (job.state, job.fault, job.reason, balance()) == ("failed", "system", making.BROKEN, 1000)


def test_what_ends_its_maker_again_and_again_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    job = large()
    Matrix.objects.update(tries=reading.MAX_TRIES)
    monkeypatch.setattr(matrices, "survey", lambda *given: pytest.fail("it is tried once more"))
    assert making.make(matrix_id=matrix_of(job).pk) == "failed"
    assert (Job.objects.get().fault, balance()) == ("system", 1000)


def test_one_clients_jobs_wait_for_so_many_matrices_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "MAX_WAITED_FOR", 1)
    first = large()
    assert large().matrix_id == first.matrix_id
    with pytest.raises(Refused, match="Your jobs wait for 1 matrices that are being made"):
        large({"missing": "mean"})
    assert balance() == 900 and Matrix.objects.count() == 1
    making.make(matrix_id=matrix_of(first).pk)
    assert large({"missing": "mean"}).preparing == 0.0


@pytest.mark.parametrize("step", ["survey", "write"])
def test_making_stops_when_nobody_waits_any_more(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    job, does = large(), getattr(matrices, step)

    def called_off(*given: Any) -> Any:
        jobs.cancel(job_id=job.pk, user=None, actor="client")
        return does(*given)

    monkeypatch.setattr(matrices, step, called_off)
    assert making.make(matrix_id=matrix_of(job).pk) == ""
    assert (Job.objects.get().state, matrix_of(job).state, balance()) == ("cancelled", "failed", 1000)


def test_names_that_were_deleted_at_the_last_moment_do_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    job, flush = large(), storage.flush

    def deleted_and_brought_again(file: Any) -> None:
        flush(file)
        monkeypatch.setattr(storage, "flush", flush)
        jobs.cancel(job_id=job.pk, user=None, actor="client")
        deletion.delete_dataset(sha256=job.dataset_id, user=None, actor="client")
        bring(flats()[0])

    monkeypatch.setattr(storage, "flush", deleted_and_brought_again)
    assert making.make(matrix_id=matrix_of(job).pk) == ""
    matrix = matrix_of(job)
    assert (matrix.state, matrix.recipe["columns"]) == ("failed", ["column 1", "column 2", "column 3"])


@pytest.mark.parametrize("step", ["survey", "write"])
def test_who_lost_the_lease_writes_nothing_more(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    job, does = large(), getattr(matrices, step)

    def slept_over(*given: Any) -> Any:
        Matrix.objects.update(tries=2, progress=0.7)  # another has begun
        return does(*given)

    monkeypatch.setattr(matrices, step, slept_over)
    assert making.make(matrix_id=matrix_of(job).pk) == ""
    matrix = matrix_of(job)
    assert (matrix.state, matrix.progress, matrix.matrix_sha256) == ("making", 0.7, "")
    assert Job.objects.get().state == "pending"


def test_reading_leaves_threads_to_the_rest_and_what_finds_no_place_is_announced_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job, sent, queued = large(), list[int](), [1]
    matrix = matrix_of(job)
    with reading.place() as one, reading.place() as two:
        assert one and two
        assert making.make(matrix_id=matrix.pk) == "" and uploads.read(upload_id=job.pk) == ""
    assert matrix_of(job).tries == 0
    monkeypatch.setattr(dispatch, "make_matrix_now", lambda pk: bool(sent.append(pk)) or True)
    monkeypatch.setattr(broker, "waiting", lambda queue: queued[0] if queue == "reading" else 0)
    Matrix.objects.update(changed_at=database_now() - timedelta(seconds=reading.RESEND_SECONDS + 1))
    assert making.send_waiting() == 0  # its message is still in the queue
    queued[0] = 0
    assert making.send_waiting() == 1 and sent == [matrix.pk]
    assert making.make(matrix_id=matrix.pk) == "ready"


def test_a_quote_says_what_it_can_without_making_the_matrix(client: Browser) -> None:
    make.make_client()
    asked = make.Submission(
        client_address="alice", model_type="linear_regression", dataset=bring(flats()[0]).pk, target="price",
        recipe=RECIPE,
    )  # fmt: skip
    found = quote(submission=asked, user=None)
    assert (found["rows"], found["features"], found["matrix_ready"]) == (240, None, False)
    assert found["suggested_reward"] > 0 and not Matrix.objects.exists()
    query = {"dataset": asked.dataset, "target": 3, "c": [0, 1, 2], "model_type": asked.model_type,
             "client_address": "alice", "missing": "drop"}  # fmt: skip
    page = client.get(reverse("new-job-quote"), query).content.decode()
    assert "at most 240 rows" in page and "The table is large" in page


def test_a_quotes_least_reward_is_for_the_columns_that_are_used(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pricing, "FREE_BYTES", 0)
    settings.POLICY = dataclasses.replace(settings.POLICY, floor_per_gigabyte=1e9)  # a token a byte
    asked = make.Submission(
        client_address="", model_type="linear_regression", dataset=bring(flats()[0]).pk, target="price",
        columns=["rooms"], recipe=RECIPE,
    )  # fmt: skip
    assert quote(submission=asked, user=None)["least_reward"] == 240 * 2 * 8


def test_status_and_pages_say_how_far_it_is(client: Browser) -> None:
    job = large()
    Matrix.objects.update(progress=0.43)
    said = client.get(f"/job/{job.pk}/status").json()
    assert (said["status"], said["preparing"], said["columns"]) == ("pending", 0.43, ["area", "town", "rooms"])
    page = client.get(reverse("job", args=[job.pk])).content.decode()
    assert "Preparing 43" in page and "Why it waits" not in page and "area, town, rooms" in page
    assert "preparing 43" in client.get(reverse("jobs")).content.decode()
