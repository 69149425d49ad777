"""A dataset is for those who brought its content."""

from typing import Any

import pytest
from django.test import Client

from marketplace.models import Dataset, DatasetOwner
from tests.api.calls import is_refused, submit_job, upload
from tests.dashboard import cast

pytestmark = pytest.mark.django_db
TABLE = b"a,b,c\n1,2,3\n2,3,5\n3,5,8\n5,8,13\n8,13,22\n"


@pytest.fixture
def people(settings: Any) -> dict[str, Client]:
    """Alice, Bob and Olga at their browsers; each of the first two has a client with tokens."""
    https = {}
    for user in (cast.alice(), cast.bob(), cast.olga()):
        cast.a_client(f"{user}_lab", user)
        https[str(user)] = Client()
        https[str(user)].force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    settings.SANDBOX = False
    return https


def submit(http: Client, address: str, dataset: str) -> Any:
    return submit_job(http, client_address=address, dataset=dataset, data=None)


def test_to_know_a_datasets_name_is_no_right_to_it(people: dict[str, Client]) -> None:
    alice, bob = people["alice"], people["bob"]
    name = upload(alice, TABLE, "secret-project.csv").json()["dataset_id"]
    assert submit(alice, "alice_lab", name).status_code == 200
    is_refused(bob.get(f"/datasets/{name}"), 404)
    is_refused(submit(bob, "bob_lab", name), 404)
    assert bob.get("/datasets").json()["count"] == 0


def test_who_brings_the_same_content_may_use_it_and_learns_nothing_of_the_other(people: dict[str, Client]) -> None:
    alice, bob = people["alice"], people["bob"]
    hers = upload(alice, TABLE, "secret-project.csv").json()
    his = upload(bob, TABLE, "numbers.csv").json()
    assert hers["dataset_id"] == his["dataset_id"] and Dataset.objects.count() == 1
    assert (hers["label"], his["label"]) == ("secret-project.csv", "numbers.csv")
    assert his["created_at"] >= hers["created_at"]
    for http, label in ((alice, "secret-project.csv"), (bob, "numbers.csv")):
        assert [each["label"] for each in http.get("/datasets").json()["datasets"]] == [label]
        assert http.get(f"/datasets/{hers['dataset_id']}").json()["label"] == label
    assert submit(bob, "bob_lab", his["dataset_id"]).status_code == 200
    assert people["olga"].get(f"/datasets/{hers['dataset_id']}").status_code == 200


def test_data_inside_a_request_are_its_senders(people: dict[str, Client]) -> None:
    assert submit_job(people["alice"], client_address="alice_lab").status_code == 200
    assert DatasetOwner.objects.get().user.username == "alice"
    name = Dataset.objects.get().pk
    is_refused(submit(people["bob"], "bob_lab", name), 404)


def test_the_networks_own_sample_is_nobodys(people: dict[str, Client]) -> None:
    assert submit_job(people["alice"], client_address="alice_lab", data=None).status_code == 200
    sample = Dataset.objects.get()
    assert sample.sample and not DatasetOwner.objects.exists()
    is_refused(people["bob"].get(f"/datasets/{sample.pk}"), 404)


def test_a_refused_submission_gives_no_right(people: dict[str, Client]) -> None:
    is_refused(submit_job(people["alice"], client_address="alice_lab", reward=10**6))
    assert not DatasetOwner.objects.exists() and not Dataset.objects.exists()
