"""Data that go: deleted by who brought them, by idleness, and then from machines' caches too."""

import dataclasses
import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from marketplace import storage
from marketplace.actions import datasets, deletion, jobs, results
from marketplace.actions.contests import contest, uphold
from marketplace.actions.predictions import own_table, predict
from marketplace.actions.submissions import Submission, submission_of
from marketplace.dashboard.result_data import Fitted
from marketplace.domain.errors import Conflict, NotFound, Refused
from marketplace.models import Assignment, Contest, Dataset, DatasetOwner, Job, Matrix, MatrixCopy
from tests import factories
from tests.actions.stored import files
from tests.dashboard import cast
from tests.privacy.machines import enrolled
from workers.datasets import Cache

pytestmark = pytest.mark.django_db
TABLE = "secret_age,secret_rent\n" + "\n".join(f"{i},{2 * i + 0.25}" for i in range(1, 40))


@pytest.fixture
def carol(db: None) -> User:
    cast.a_client("carols_lab", user := cast.a_user("carol"))
    return user


def bring(user: User | None, text: str = TABLE) -> Dataset:
    return datasets.store_upload(stream=io.BytesIO(text.encode()), filename="confidential.csv", user=user)


def submit(dataset: Dataset, user: User) -> Job:
    asked = Submission(client_address="carols_lab", model_type="pca_analysis", reward=20, dataset=dataset.pk)
    return jobs.submit(submission=asked, user=user)


def delete(dataset: Dataset, user: User | None) -> bool:
    return deletion.delete_dataset(sha256=dataset.pk, user=user, actor="carol")


def told(job: Job, text: str) -> Any:
    return predict(job=job, stream=io.BytesIO(text.encode()), filename="new.csv")


def test_a_model_says_nothing_of_new_rows_once_the_units_of_its_data_are_gone(carol: User) -> None:
    """Centres in the table's units beside rows in the fit's: the nearest would be another."""
    dataset = bring(carol, "a,b\n" + "".join(f"{i % 2},{1000 * i}\n" for i in range(40)))
    factories.make_worker(stake=10_000)
    asked: dict[str, Any] = {"dataset": dataset.pk, "model_type": "kmeans_clustering", "params": {"k": 2}}
    job = factories.run_to_end(factories.make_job(client="carols_lab", recipe={"standardise": True}, **asked))
    with told(job, "a,b\n1,2000\n") as answer:
        assert answer.read().startswith(b"cluster")
    delete(dataset, carol)
    with pytest.raises(NotFound, match="data were deleted"):
        told(Job.objects.get(pk=job.pk), "column 1,column 2\n1,2000\n")


def test_deleted_data_leave_no_file_and_no_name_and_come_back_when_brought_again(carol: User) -> None:
    before = files()
    dataset = bring(carol)
    assert len(files() - before) == 2
    assert delete(dataset, carol) is True
    assert files() == before and not DatasetOwner.objects.exists()
    gone = Dataset.objects.get()
    assert (gone.label, gone.uploaded_by, gone.column_names) == ("", None, ["column 1", "column 2"])
    for _ in range(2):
        with pytest.raises(NotFound):
            delete(dataset, carol)
    again = bring(carol)
    assert again.pk == dataset.pk and again.deleted_at is None and len(files() - before) == 2
    assert Dataset.objects.get().column_names == ["secret_age", "secret_rent"]


def test_data_stay_while_an_open_job_needs_them_and_the_result_stays_after(carol: User) -> None:
    dataset = bring(carol)
    factories.make_worker()
    job = submit(dataset, carol)
    with pytest.raises(Conflict, match="An open job uses this dataset"):
        delete(dataset, carol)
    assert Dataset.objects.get().label == "confidential.csv"
    factories.run_to_end(job)
    assert delete(dataset, carol) is True
    job.refresh_from_db()
    assert job.state == "verified" and storage.path("answers", str(job.pk)).is_file()
    with pytest.raises(NotFound):
        jobs.submit(submission=submission_of(job), user=carol)


def test_a_contested_job_keeps_its_data_until_settled(carol: User) -> None:
    dataset = bring(carol)
    factories.make_worker()
    job = submit(dataset, carol)
    assignment = factories.assign(job)
    factories.start(assignment)
    factories.submit_answer(assignment, factories.wrong_answer(job))
    factories.verify(assignment)
    jobs.cancel(job_id=job.pk, user=carol, actor="client")
    contest(worker_name="rtx4090", assignment_id=assignment.pk, note="It was right.", user=None)
    with pytest.raises(Conflict, match="keeps the data until settled"):
        delete(dataset, carol)
    assert storage.path("matrices", dataset.matrix_sha256).is_file()
    uphold(contest_id=Contest.objects.get().pk, actor="olga")
    assert delete(dataset, carol) is True


def test_what_another_brought_too_stays_the_others(carol: User) -> None:
    bob = cast.bob()
    dataset = bring(carol)
    bring(bob)
    before = files()
    assert delete(dataset, carol) is False
    assert files() == before and datasets.find_dataset(sha256=dataset.pk, user=bob)
    assert list(DatasetOwner.objects.values_list("user", flat=True)) == [bob.pk]


def test_a_matrix_that_another_dataset_has_too_stays(carol: User) -> None:
    dataset, other = bring(carol), bring(carol, TABLE + "\n")
    assert dataset.pk != other.pk and dataset.matrix_sha256 == other.matrix_sha256
    delete(dataset, carol)
    assert storage.path("matrices", other.matrix_sha256).is_file()
    assert not storage.path("uploads", dataset.pk).is_file()
    delete(other, carol)
    assert not storage.path("matrices", other.matrix_sha256).is_file()


def test_the_networks_own_sample_is_nobodys_to_delete(carol: User) -> None:
    job = factories.make_job(client="carols_lab")
    with pytest.raises(Refused, match="own sample"):
        delete(job.dataset, carol)


def test_data_that_no_job_used_for_long_are_deleted_and_others_are_not(carol: User, settings: Any) -> None:
    settings.POLICY = dataclasses.replace(settings.POLICY, dataset_idle_seconds=3600)
    idle, fresh, waited_for = bring(carol), bring(carol, TABLE + "\n99,1\n"), bring(carol, TABLE + "\n98,1\n")
    submit(waited_for, carol)
    for each in (idle, waited_for):
        long_ago = each.created_at - timedelta(hours=2)
        Dataset.objects.filter(pk=each.pk).update(created_at=long_ago)
        DatasetOwner.objects.filter(dataset=each).update(created_at=long_ago)
    assert deletion.delete_idle() == 1
    assert list(Dataset.objects.filter(deleted_at=None).values_list("pk", flat=True).order_by("pk")) == sorted(
        [fresh.pk, waited_for.pk]
    )
    settings.POLICY = dataclasses.replace(settings.POLICY, dataset_idle_seconds=0)
    assert deletion.delete_idle() == 0


def test_copies_are_called_back_at_the_next_heartbeat_until_the_machine_says_they_are_gone(carol: User) -> None:
    dataset = bring(carol)
    machine, other = enrolled("gpu"), enrolled("another")
    job = submit(dataset, carol)
    job_at = factories.assign(job)
    taker, bystander = (machine, other) if str(job_at.worker_id) == machine.reply["worker"] else (other, machine)
    answer = taker.compute(taker.start(job_at).json())
    taker.hand_in(job_at, answer)
    factories.verify(Assignment.objects.get(pk=job_at.pk))
    assert "drop" not in taker.heartbeat().json()
    delete(dataset, carol)
    for _ in range(2):  # a reply may be lost
        assert taker.heartbeat().json()["drop"] == [dataset.matrix_sha256]
    assert "drop" not in bystander.heartbeat(dropped=[dataset.matrix_sha256]).json()
    assert "drop" not in taker.heartbeat(dropped=[dataset.matrix_sha256]).json()
    assert not MatrixCopy.objects.exists()


def test_a_worker_drops_what_it_is_told_to_and_nothing_else(tmp_path: Path) -> None:
    kept, gone = "a" * 64, "b" * 64
    for name in (f"{kept}.npy", f"{gone}.npy", f"{gone}.part"):
        (tmp_path / name).write_bytes(b"matrix")
    cache = Cache(tmp_path, 10**6)
    assert cache.drop(gone) and cache.drop("c" * 64)
    for odd in ("../outside", gone.upper(), None, 5, "*"):
        assert not cache.drop(odd)
    assert [file.name for file in tmp_path.iterdir()] == [f"{kept}.npy"]


def test_the_page_deletes_data_and_says_why_where_it_does_not(client: Any, carol: User) -> None:
    client.force_login(carol)
    dataset = bring(carol)
    page = client.get(f"/dashboard/jobs/new/?dataset={dataset.pk}").content.decode()
    assert "Delete these data" in page
    job = submit(dataset, carol)
    refused = client.post(f"/dashboard/data/{dataset.pk}/delete/", follow=True).content.decode()
    assert "An open job uses this dataset" in refused
    jobs.cancel(job_id=job.pk, user=carol, actor="client")
    assert "The data are deleted" in client.post(f"/dashboard/data/{dataset.pk}/delete/", follow=True).content.decode()
    assert client.get(f"/dashboard/jobs/{job.pk}/").status_code == 200
    assert client.get("/datasets").json()["datasets"] == []


def test_what_a_recipe_made_of_deleted_data_goes_with_them_and_the_result_keeps_its_numbers(carol: User) -> None:
    towns = ("Ahlen", "Bonn", "Cologne")
    dataset = bring(carol, "area,town,price\n" + "".join(f"{i},{towns[i % 3]},{3 * i + i % 3}\n" for i in range(1, 60)))
    factories.make_worker()
    before = files()
    asked = {"recipe": {"standardise": True}, "dataset": dataset.pk, "target": "price"}
    job = factories.run_to_end(factories.make_job(client="carols_lab", **asked))
    made = Matrix.objects.get()
    coefficients = results.read_result(job=job, limit=None)["coefficients"]
    assert "Bonn" in str(made.layout) and storage.path("matrices", made.matrix_sha256) in files() - before
    delete(dataset, carol)
    made.refresh_from_db()
    said = f"{made.recipe} {made.layout} {made.columns}"
    assert not [name for name in ("area", "town", "price", *towns) if name in said], said
    assert not storage.path("matrices", made.matrix_sha256).is_file()
    job = Job.objects.get(pk=job.pk)
    found = results.read_result(job=job, limit=None)
    assert found["coefficients"] == coefficients and not [town for town in towns if town in str(found)]
    again = bring(carol, "area,town,price\n" + "".join(f"{i},{towns[i % 3]},{3 * i + i % 3}\n" for i in range(1, 60)))
    assert again.pk == dataset.pk
    job = Job.objects.get(pk=job.pk)
    for gone in (lambda: own_table(job=job), lambda: told(job, "column 1,column 2\n1,2\n"), lambda: Fitted.of(job)):
        with pytest.raises(NotFound, match="data were deleted"):
            gone()
    assert submission_of(job).recipe == {"standardise": True, "first_level": "drop"}
    factories.make_job(client="carols_lab", **asked)
    assert Matrix.objects.count() == 2
