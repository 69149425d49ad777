"""What is refused leaves nothing on the disk; a user has a share of it; a full one stops uploads alone."""

import dataclasses
import io

import pytest
from django.contrib.auth import get_user_model

from marketplace.actions import datasets
from marketplace.domain.errors import NoRoom, Refused
from marketplace.models import Account, Dataset
from tests import factories as make
from tests.actions.stored import files

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
