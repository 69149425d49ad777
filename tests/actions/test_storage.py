"""What is refused leaves nothing on the disk; a user has a share of it; a full one stops uploads alone."""

import dataclasses
import io

import pytest
from django.contrib.auth import get_user_model

from marketplace.actions import datasets, jobs, making
from marketplace.actions.submissions import Submission
from marketplace.domain.errors import NoRoom, Refused
from marketplace.models import Account, Dataset
from tests import factories as make
from tests.actions.stored import files
from tests.dashboard import cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def policy(settings):
    def change(**numbers):
        settings.POLICY = dataclasses.replace(settings.POLICY, **numbers)

    return change


def upload(text: str, user: object = None) -> Dataset:
    return datasets.store_upload(stream=io.BytesIO(text.encode()), filename="table.csv", user=user)


def test_a_user_may_store_so_much_and_no_more_and_what_was_refused_is_gone(policy):
    policy(storage_bytes_per_user=5_000)
    user = get_user_model().objects.create_user("hoarder")
    table = "a,b\n" + "1,2\n" * 100
    upload(table, user)
    before = files()
    with pytest.raises(Refused, match="of which 2,"):
        upload(table + "3,4\n" * 100, user)
    with pytest.raises(Refused, match="your 5,000 bytes"):
        datasets.require_room(user=user, size_bytes=4_000)
    assert files() == before
    upload(table + "5,6\n" * 100, get_user_model().objects.create_user("another"))


def test_a_refused_file_leaves_nothing_behind():
    before = files()
    for content in ("a,b\nx,y\n", "", "1,2\n3,inf\n", "a,a\n1,2\n"):
        with pytest.raises(Refused):
            upload(content)
    assert files() == before


def test_a_job_that_cannot_be_paid_leaves_no_file_of_its_data():
    make.make_client(balance=1)
    before = files()
    with pytest.raises(Refused):
        make.make_job(reward=50, data=make.rows(seed=4711))
    assert files() == before and not Dataset.objects.exists()


def test_a_full_disk_refuses_new_data_and_nothing_else(policy):
    make.make_client()
    make.make_worker()
    dataset = upload("a,b\n" + "1,2\n2,4\n3,7\n5,1\n" * 10)
    policy(disk_reserve_bytes=2**60)
    with pytest.raises(NoRoom, match="disk is full") as refusal:
        upload("a,b\n9,9\n")
    assert refusal.value.status == 507
    with pytest.raises(NoRoom):
        make.make_job(data=make.rows(seed=815))
    assert make.run_to_end(make.make_job(dataset=dataset.pk)).state == "verified"
    assert make.run_to_end(make.make_job()).state == "verified"
    assert Account.objects.get(contributor__workers__name="rtx4090").balance > 0


def test_running_out_of_disk_is_said_in_a_sentence(monkeypatch):
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("marketplace.storage.Reserved.write", full)
    with pytest.raises(NoRoom, match="disk is full"):
        upload("a,b\n1,2\n")


def taken(user: object) -> int:
    """How many bytes count for the user, out of the sentence that refuses more."""
    with pytest.raises(Refused) as refused:
        datasets.require_share(user, 10**15)
    return int(str(refused.value).split("of which ")[1].split(" are")[0].replace(",", ""))


def test_a_recipes_matrix_counts_for_whoever_asked_for_it_and_shows_nobody_else(policy):
    users = [cast.a_user(name) for name in ("carol", "bob")]
    text = "area,town,price\n" + "".join(f"{i},{'Bonn' if i % 3 else 'Köln'},{2 * i}\n" for i in range(50))
    for user in users:
        cast.a_client(f"{user.get_username()}s_lab", user)
        dataset = upload(text, user)
    carol, bob = users

    def submit(user):
        asked = Submission(
            client_address=f"{user.get_username()}s_lab", model_type="linear_regression", reward=20,
            dataset=dataset.pk, target="price", recipe={},
        )  # fmt: skip
        return jobs.submit(submission=asked, user=user).matrix

    before = taken(bob)
    matrix = submit(carol)
    assert taken(bob) == before and taken(carol) == before + matrix.matrix_bytes
    policy(storage_bytes_per_user=before + matrix.matrix_bytes - 1)
    with pytest.raises(Refused, match="Your data would take more"):
        submit(bob)
    policy(storage_bytes_per_user=before + matrix.matrix_bytes)
    assert submit(bob) == matrix == submit(bob) and taken(bob) == taken(carol)


def test_a_large_tables_matrix_is_held_against_the_share_when_its_size_is_known(policy, settings):
    settings.MATRIX_AT_ONCE_CELLS = 10
    carol = cast.a_user("carol")
    cast.a_client("carols_lab", carol)
    dataset = upload("a,b\n" + "1,2\n" * 50 + "3,7\n", carol)
    asked = Submission(
        client_address="carols_lab",
        model_type="linear_regression",
        reward=20,
        dataset=dataset.pk,
        target="b",
        recipe={},
    )
    job = jobs.submit(submission=asked, user=carol)
    before = files()
    policy(storage_bytes_per_user=taken(carol) + 100)
    assert making.make(matrix_id=job.matrix.pk) == ""
    job.refresh_from_db()
    assert job.state == "failed" and "Your data would take more" in job.reason and files() == before
